"""What each named rule finds, and what it leaves alone."""

from __future__ import annotations

import re

import pytest

from llmtoken.redact.rules import RULES, SETS
from llmtoken.redact.search import Search, marker
from support.needs import ROOT
from support.planted import SHAPES

HARMLESS = [
    "It costs 1,234,567.89 euros on 2024-01-15 at 10:30:00, order 20240115-000123, build 1.22.3333.4",
    "the task-force wrote risk-adjusted-returns-of-many-funds and sk-learn-like-things-and-so-on-and-on",
    '{"created": 1700000000, "ns": 1700000000123456789, "logprob": -0.4111111111111111, "x": 4.111111111111111e-5}',
    "git@github.com:org/repo.git and icon@2x.png and react@18.2.0 and @decorator and a @ b",
    "uuid 123e4567-e89b-12d3-a456-426614174000 sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "chatcmpl-9xYzAbCdEfGhIjKlMnOpQrStUvWx, resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b",
    "msg_01XFDUDYJgAACzvnptvVoYEL",
    "DE89 3704 0044 0532 0130 01 has a wrong checksum, 4111 1111 1111 1112 too",
    "https://example.com:8080/path?x=1 and Basic authentication is basic knowledge",
    "call_abcDEF1234567890 toolu_01A09q90qw90lq917835lq9 req_011CSHoEeqs5C35K2UUqR7Fy",
    "192.168.100.200:8080, 10.0.0.1, version 3.11.7, ISBN 978-3-16-148410-0",
]


@pytest.fixture(scope="module")
def search() -> Search:
    return Search(SETS, {})


@pytest.mark.parametrize(("rule", "secret"), [(rule, each) for rule, some in SHAPES.items() for each in some])
@pytest.mark.parametrize("around", ["{}", "My own: {}, thanks.", '"{}"', "key={}&next=1", "line\n{}\nline"])
def test_a_rule_finds_its_shape_and_the_whole_of_it(search: Search, rule: str, secret: str, around: str) -> None:
    found = search.find(around.format(secret).encode())
    assert [one.rule for one in found] == [rule]
    text = around.format(secret).encode()
    kept = text[: found[0].start] + text[found[0].end :]
    assert secret[-12:].encode() not in kept


def test_every_rule_has_a_shape_to_be_tested_with() -> None:
    assert set(SHAPES) == set(RULES)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_one_is_left_alone(search: Search, text: str) -> None:
    assert search.find(text.encode()) == []


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_finds_what_stands_in_a_findings_place(search: Search, rule: str) -> None:
    assert search.find(marker(rule)) == []


def test_the_page_on_privacy_names_every_rule() -> None:
    page = (ROOT / "docs" / "privacy.md").read_text("utf-8")
    section = page.partition("Names of the rules")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", section)) == set(RULES)
