"""`llmtoken audit list` and `usage`: tables for people, JSON and CSV for programs, from a database or a collector."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.audit import Filter
from llmtoken.cli import app
from llmtoken.errors import QueryError, StorageUnavailable, Unauthorized
from support.collector import running
from support.records import record

NOW = datetime.now(UTC)


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write(
            [
                record("new", started_at=NOW - timedelta(hours=1), consumer="bob", cost=Decimal("0.10")),
                record("bad", started_at=NOW - timedelta(hours=2), error_type="rate_limit", http_status=429, cost=None),
                record("cut", started_at=NOW - timedelta(hours=3), aborted="client", usage_source="partial"),
                record("old", started_at=NOW - timedelta(days=40), consumer="bob", cost=Decimal("0.20")),
            ]
        )
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def shown(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.exception
    return done.stdout


def ids(*arguments: str) -> list[str]:
    return [call["request_id"] for call in json.loads(shown("list", "--json", *arguments))["calls"]]


# ── list ────────────────────────────────────────────────────────────────────────────────


def test_a_table_for_people_newest_first(database: str) -> None:
    lines = shown("list", "--database", database).splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["new", "bad", "cut", "old"]
    assert "429 rate_limit" in lines[2]
    assert "client left" in lines[3]
    assert "us, partial" in lines[3]


def test_json_is_what_the_api_gives(database: str) -> None:
    page = json.loads(shown("list", "--json", "--limit", "2", "--database", database))
    with audit.open_read_only(database) as reader:
        assert page["calls"] == [reader.call("new"), reader.call("bad")]
    assert ids("--cursor", page["next_cursor"], "--database", database) == ["cut", "old"]


def test_a_table_says_how_to_go_on(database: str) -> None:
    text = shown("list", "--limit", "3", "--database", database)
    cursor = text.partition("More: --cursor ")[2].strip()
    assert ids("--cursor", cursor, "--database", database) == ["old"]
    assert "More:" not in shown("list", "--limit", "4", "--database", database)


def test_csv_has_every_column_of_the_call(database: str) -> None:
    text = shown("list", "--csv", "--database", database)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["request_id"], row["cost"]) for row in rows] == [
        *(("new", "0.10"), ("bad", ""), ("cut", "0.00037"), ("old", "0.20"))
    ]
    assert json.loads(rows[0]["finish_reasons"]) == ["stop"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "24h"], ["new", "bad", "cut"]),
        (["--until", "7d"], ["old"]),
        (["--consumer", "bob"], ["new", "old"]),
        (["--status", "4xx"], ["bad"]),
        (["--error", "true"], ["bad"]),
        (["--error", "false", "--since", "24h"], ["new", "cut"]),
        (["--error", "rate_limit"], ["bad"]),
        (["--model", "gpt-4o", "--provider", "openai", "--operation", "chat"], ["new", "bad", "cut", "old"]),
        (["--response-model", "none"], []),
    ],
)
def test_filters(database: str, arguments: list[str], expected: list[str]) -> None:
    assert ids(*arguments, "--database", database) == expected


def test_calls_are_found_by_what_was_said(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.db")
    with audit.open(path, search=True) as store:
        asked = {name: json.dumps({"messages": [{"role": "user", "content": name}]}) for name in ("refund", "other")}
        store.write([record(name, request_body=body) for name, body in asked.items()])
    assert ids("--q", "refund", "--database", path) == ["refund"]


def test_nothing_that_fits_is_told(database: str) -> None:
    assert shown("list", "--consumer", "nobody", "--database", database) == "No call fits.\n"
    assert shown("list", "--consumer", "nobody", "--csv", "--database", database) == ""
    assert shown("usage", "--consumer", "nobody", "--database", database) == "No call fits.\n"


@pytest.mark.parametrize(
    "arguments",
    [["list", "--since", "then"], ["list", "--status", "bad"], ["list", "--cursor", "x"], ["usage", "--group-by", "x"]],
)
def test_what_is_written_wrong_is_explained(database: str, arguments: list[str]) -> None:
    assert isinstance(run(*arguments, "--database", database).exception, QueryError)


def test_nothing_of_a_call_steers_the_terminal(tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07\x9b31m\u202e\r"
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        names = {"consumer": hostile, "response_model": hostile, "error_type": hostile, "request_model": hostile}
        store.write([record(hostile, **names)])
    for arguments in (["list"], ["list", "--json"], ["usage", "--group-by", "consumer,model"]):
        assert not {"\x1b", "\x07", "\x9b", "\r", "\u202e"} & set(shown(*arguments, "--database", path))


# ── usage ───────────────────────────────────────────────────────────────────────────────


def test_usage_as_json_is_the_readers(database: str) -> None:
    found = json.loads(shown("usage", "--json", "--group-by", "month,consumer", "--database", database))["usage"]
    with audit.open_read_only(database) as reader:
        assert found == reader.usage(Filter(), ["month", "consumer"])


def test_usage_as_a_table(database: str) -> None:
    head, *rows = shown("usage", "--group-by", "consumer", "--database", database).splitlines()
    assert head.split()[:3] == ["consumer", "calls", "errors"]
    found = {row.split()[0]: row.split() for row in rows}
    assert (found["bob"][1], found["bob"][7]) == ("2", "0.30")


def test_usage_as_csv_in_one_row_for_all(database: str) -> None:
    (row,) = csv.DictReader(io.StringIO(shown("usage", "--csv", "--group-by", "", "--database", database)))
    assert (row["calls"], row["errors"], row["total_tokens"], row["cost"]) == ("4", "1", "480", "0.30037")


# ── From a running collector ────────────────────────────────────────────────────────────


def test_a_running_collector_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_READ_TOKEN", "secret")
    with running(tmp_path, read_token="secret") as collector:
        for number in range(3):
            report = {"request_body": "{}", "response_body": "{}", "elapsed_time": 1.0, "request_id": f"r{number}"}
            collector.report({**report, "consumer": "bob" if number else "alice"})
        here, there = ("--database", str(collector.database)), ("--url", collector.url)
        for arguments in (
            ["list", "--json", "--limit", "2"],
            ["list", "--json", "--consumer", "bob", "--since", "1h"],
            ["usage", "--json", "--group-by", "day,consumer"],
            ["usage", "--json", "--group-by", ""],
        ):
            assert shown(*arguments, *there) == shown(*arguments, *here)
        cursor = json.loads(shown("list", "--json", "--limit", "2", *there))["next_cursor"]
        assert ids("--cursor", cursor, *there) == ids("--cursor", cursor, *here)
        assert isinstance(run("list", "--since", "then", *there).exception, QueryError)
        monkeypatch.delenv("LLMTOKEN_READ_TOKEN")
        assert isinstance(run("list", *there).exception, Unauthorized)
    assert isinstance(run("list", *there).exception, StorageUnavailable)
