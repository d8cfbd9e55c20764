"""Ways in that must stay shut: wrong tokens by the hundred, odd paths, odd hosts, SQL in names."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.canary import CANARY
from support.collector import Collector, running

REPORT = {"request_body": f'["{CANARY}"]', "response_body": CANARY, "elapsed_time": 1}
WRITE, READ, SCRAPE = f"{CANARY}-write", f"{CANARY}-read", f"{CANARY}-scrape"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Collector]:
    with running(tmp_path, token=WRITE, read_token=READ, metrics_token=SCRAPE) as collector:
        yield collector


def status(collector: Collector, path: str, token: str, **more: str) -> int:
    return collector.client.get(path, headers={"authorization": f"Bearer {token}", **more}).status_code


def test_who_guesses_read_tokens_is_not_heard_any_more_not_even_with_the_right_one(guarded: Collector) -> None:
    answers = [status(guarded, "/api/calls/x", f"{CANARY}-guess-{number}") for number in range(40)]
    assert answers[:30] == [401] * 30
    assert set(answers[32:]) == {429}
    refused = guarded.client.get("/api/calls/x", headers={"authorization": f"Bearer {READ}"})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


def test_a_plugin_with_an_old_token_does_not_keep_another_from_reporting(guarded: Collector) -> None:
    for number in range(60):
        guarded.report(REPORT, authorization=f"Bearer {CANARY}-old-{number}")
    assert guarded.report(REPORT, authorization=f"Bearer {WRITE}").status_code == 200


def test_right_tokens_are_never_counted_against_anybody(guarded: Collector) -> None:
    assert {status(guarded, "/api/calls/x", READ) for _ in range(100)} == {404}


def test_metrics_may_have_a_token_of_their_own(guarded: Collector) -> None:
    tokens = (SCRAPE, READ, WRITE, "none")
    assert [status(guarded, "/metrics", token) for token in tokens] == [200, 401, 401, 401]


def test_a_client_that_asks_without_end_is_told_when_to_come_again(tmp_path: Path) -> None:
    with running(tmp_path, max_requests_per_second=1) as collector:
        answers = [collector.client.get("/ready") for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 4
        assert answers[-1].json().keys() == {"status", "error", "hint"}
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert collector.client.get("/health").status_code == 200
        assert collector.report(REPORT).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "", "a" * 5000])
def test_the_host_that_is_asked_for_changes_nothing(guarded: Collector, host: str) -> None:
    assert status(guarded, "/api/calls/x", READ, host=host) == 404
    assert status(guarded, "/api/calls/x", "wrong", host=host) == 401


@pytest.mark.parametrize(
    "target",
    [
        "/docs/assets/../../../../etc/passwd",
        "/docs/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/docs/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/docs/assets//etc/passwd",
        "/docs/assets/..\\..\\etc\\passwd",
        "/../llmtoken.db",
        "/docs/assets/%00",
        "/api/calls/../../llmtoken.db",
    ],
)
def test_no_path_leads_to_a_file_of_the_machine(guarded: Collector, target: str) -> None:
    """Sent as it is: clients would tidy it up."""
    port = int(guarded.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split()[1] in (b"400", b"401", b"404")
    assert b"root:" not in answer
    assert b"SQLite format" not in answer


INJECTIONS = [
    "' OR '1'='1",
    "x'; DROP TABLE calls; --",
    'x" UNION SELECT * FROM bodies --',
    "x\0y",
    "%' OR 1=1 --",
    "1) OR (1=1",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_names_is_only_a_name(guarded: Collector, text: str) -> None:
    given = {
        **REPORT,
        "request_id": text,
        "consumer": text,
        "path": f"/{text}",
        "middleware": text,
        "labels": {text: text},
    }
    assert guarded.report({**REPORT, **given}, authorization=f"Bearer {WRITE}").status_code == 200
    guarded.report({**REPORT, "request_id": "another"}, authorization=f"Bearer {WRITE}")
    headers = {"authorization": f"Bearer {READ}"}
    row = guarded.client.get(f"/api/calls/{text.replace('%', '%25').replace(chr(0), '%00')}", headers=headers)
    assert row.json()["consumer"] == text.replace("\0", "\ufffd")
    for name in ("consumer", "model", "provider", "since", "cursor"):
        answer = guarded.client.get("/api/calls", params={name: text}, headers=headers, follow_redirects=True)
        assert answer.status_code in (200, 400, 404, 422)
        assert "another" not in answer.text
    with closing(sqlite3.connect(guarded.database)) as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (2,)
