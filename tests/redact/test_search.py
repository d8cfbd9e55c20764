"""Taking findings out of texts, so that the rest stays what it was."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.errors import ConfigError
from llmtoken.redact.rules import SETS
from llmtoken.redact.search import MOST, Search, Unredactable
from llmtoken.redact.views import unescaped
from support.planted import SHAPES, pem

SECRET = SHAPES["openai_key"][0]
ALL = Search(SETS, {})


def redacted(text: str, *, structured: bool = True, search: Search = ALL) -> str:
    return search.redact(text.encode(), Counter(), structured=structured).decode()


def own(**patterns: str) -> Search:
    return Search((), patterns)


# ── What stays ──────────────────────────────────────────────────────────────────────────

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=8) | st.just(SECRET) | st.just("x@a.org"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.booleans(), st.integers(0, 2))
def test_json_stays_json_and_only_findings_change(value: Any, ascii_only: bool, levels: int) -> None:
    expected = json.dumps(value).replace(SECRET, "[redacted:openai_key]").replace("x@a.org", "[redacted:email]")
    text = json.dumps(value, ensure_ascii=ascii_only)
    for _ in range(levels):
        text = json.dumps(text, ensure_ascii=ascii_only)
    found: Any = redacted(text)
    for _ in range(levels + 1):
        found = json.loads(found)
    assert found == json.loads(expected)


@settings(deadline=None)
@given(st.text())
def test_a_text_without_findings_is_the_very_same(text: str) -> None:
    data = text.encode()
    if not ALL.may_find(data):
        assert ALL.redact(data, Counter(), structured=True) is data


@pytest.mark.parametrize("level", range(3))
def test_a_key_of_several_lines_is_found_in_json_in_json(level: int) -> None:
    text: str = json.dumps({"key": f"It is {pem(3)}\nand that is all"})
    for _ in range(level):
        text = json.dumps({"arguments": text})
    found = redacted(text)
    assert "[redacted:private_key]" in found
    for _ in range(level):
        found = json.loads(found)["arguments"]
    assert json.loads(found)["key"].endswith("and that is all")


def test_a_number_becomes_null() -> None:
    text = '{"card": 4111111111111111, "more": [4111111111111111, 1], "text": "is 4111111111111111, yes"}'
    assert json.loads(redacted(text)) == {"card": None, "more": [None, 1], "text": "is [redacted:payment_card], yes"}


def test_a_name_in_an_object_is_text_too() -> None:
    assert json.loads(redacted('{"a@b.org": 1}')) == {"[redacted:email]": 1}


@pytest.mark.parametrize("escaped", [r"alice\u0040example.org", "alice%40example.org", r"\u0061lice@example.org"])
def test_a_finding_may_be_escaped(escaped: str) -> None:
    assert redacted(f'{{"to": "{escaped}"}}') == '{"to": "[redacted:email]"}'


def test_a_word_does_not_begin_with_the_n_of_a_line_end() -> None:
    assert json.loads(redacted(json.dumps({"text": f"key:\n{SECRET}"}))) == {"text": "key:\n[redacted:openai_key]"}


def test_a_file_in_base64_is_a_text_too() -> None:
    file = base64.b64encode(f"name,mail\nAlice,alice@example.org\n{'x' * 60}\n".encode()).decode()
    found = json.loads(redacted(json.dumps({"file": f"data:text/csv;base64,{file}"})))["file"]
    assert base64.b64decode(found.partition(",")[2]).decode().splitlines()[1] == "Alice,[redacted:email]"


def test_a_picture_in_base64_is_left_alone() -> None:
    picture = base64.b64encode(bytes(range(256)) * 400).decode()
    text = json.dumps({"url": f"data:image/png;base64,{picture}"}).encode()
    assert ALL.redact(text, Counter(), structured=True) is text


def test_lines_of_a_stream_stay_lines() -> None:
    text = "".join(f"data: {line}\n\n" for line in pem(1).splitlines())
    found = redacted(text)
    assert found.count("data: ") == text.count("data: ")
    assert "".join(line.removeprefix("data: ") for line in found.splitlines()) == "[redacted:private_key]"


def test_what_is_found_is_counted_once() -> None:
    counts: Counter[str] = Counter()
    ALL.redact(f"{SECRET} a@b.org and c@d.org".encode(), counts, structured=False)
    assert counts == {"openai_key": 1, "email": 2}


# ── Quick knowledge ─────────────────────────────────────────────────────────────────────


AROUND = st.sampled_from(["", "a\n", "\b", "\f", "\x00", 'b"', "\\c ", "%2F", "é", "密钥", "\u2028", "😀"])


@settings(deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 3), AROUND, AROUND, st.booleans())
def test_what_may_find_nothing_has_nothing(rule: str, levels: int, before: str, behind: str, ascii_only: bool) -> None:
    for secret in SHAPES[rule]:
        text = whole = f"{before}{secret}{behind}"
        for _ in range(levels):
            text = json.dumps(text, ensure_ascii=ascii_only)
        if ALL.find(whole.encode()):
            assert ALL.may_find(text.encode())
            assert ALL.find(unescaped(text.encode()))


def test_plain_prose_is_known_to_be_clean_at_once() -> None:
    assert not ALL.may_find(b'{"messages": [{"role": "user", "content": "Tell me a story.\\nA \\"long\\" one."}]}')


# ── Own patterns ────────────────────────────────────────────────────────────────────────


def test_an_own_pattern_is_a_rule() -> None:
    assert redacted('{"text": "is KD-12345678 ok"}', search=own(customer=r"\bKD-\d{8}\b")) == (
        '{"text": "is [redacted:customer] ok"}'
    )


@pytest.mark.parametrize(
    "text", [r"say \u006bd-123", r"say\nkd-123 and aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8="]
)
def test_an_own_pattern_is_found_escaped_too(text: str) -> None:
    assert own(customer=r"\bkd-\d+").may_find(text.encode())


def test_of_a_pattern_with_a_group_the_group_goes() -> None:
    found = redacted('{"ssn": "078-05-1120", "x": "078"}', search=own(ssn=r'"ssn": "([0-9-]+)"'))
    assert found == '{"ssn": "[redacted:ssn]", "x": "078"}'
    assert redacted('{"name": "Alice"}', search=own(name='"name": "([^"]*)"')) == '{"name": "[redacted:name]"}'


@pytest.mark.parametrize("rule", sorted(SHAPES))
def test_a_text_that_was_redacted_once_stays_as_it_is(rule: str) -> None:
    for secret in SHAPES[rule]:
        once = redacted(f"It is {secret} here", structured=False)
        assert redacted(once, structured=False) == once


def test_a_pattern_never_takes_the_end_of_a_string_with_it() -> None:
    found = redacted('{"text": "secret is 42", "more": "stays"}', search=own(rest="secret.*"))
    assert json.loads(found) == {"text": "[redacted:rest]", "more": "stays"}


def test_a_pattern_that_only_finds_quotes_fails_rather_than_leave_what_it_finds() -> None:
    with pytest.raises(Unredactable):
        redacted('{"name": "Alice"}', search=own(name='"name": "[^"]*"'))


@pytest.mark.parametrize(
    ("patterns", "named"),
    [
        ({"bad": "("}, "bad"),
        ({"look": "(?=x)y"}, "look"),
        ({"empty": "x*"}, "empty"),
        ({"two": "(a)(b)"}, "two"),
        ({"email": "x"}, "email"),
        ({"No Name": "x"}, "No Name"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused_with_its_name(patterns: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Search(("secrets",), patterns)


def test_an_unknown_rule_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        Search(("secret",), {})
    assert "secrets, pii" in caught.value.hint


# ── Bounds ──────────────────────────────────────────────────────────────────────────────


def test_patterns_that_explode_elsewhere_take_linear_time() -> None:
    search = own(explosive=r"(?:a+)+b|(?:x|x|xx)*y")

    def seconds(count: int) -> float:
        text = b"a" * count
        began = time.thread_time()
        search.find(text)
        return time.thread_time() - began

    seconds(1000)
    once = max(seconds(100_000), 1e-4)
    assert seconds(800_000) < 40 * once  # 8 times as long; a backtracking engine would not come back


@pytest.mark.parametrize(
    "unit",
    [
        "a@2x.b ",
        "AB12",
        "4",
        "1 ",
        "+1 ",
        "eyJ",
        "sk-",
        "\\",
        '"',
        "-----BEGIN PRIVATE KEY-----",
        "%4",
        "4111111111111111,",
    ],
)
def test_texts_made_to_keep_us_busy_take_linear_time(unit: str) -> None:
    def seconds(count: int) -> float:
        text = (unit * count).encode()
        began = time.thread_time()
        ALL.redact(text, Counter(), structured=True)
        return time.thread_time() - began

    seconds(10)
    few = max(seconds(1500), 5e-4)
    assert seconds(12_000) < 50 * few


def test_base64_within_base64_takes_no_longer_the_deeper_it_goes() -> None:
    def seconds(levels: int) -> float:
        text = f"name: {SECRET} and some more words to make it long enough"
        for _ in range(levels):
            text = base64.b64encode(text.encode()).decode()
        began = time.thread_time()
        ALL.redact(text.encode(), Counter(), structured=False)
        return (time.thread_time() - began) / len(text)

    seconds(2)
    assert seconds(18) < 50 * max(seconds(2), 1e-7)


def test_too_many_findings_are_given_up() -> None:
    with pytest.raises(Unredactable):
        ALL.redact(b"a@b.org " * (MOST + 1), Counter(), structured=False)
