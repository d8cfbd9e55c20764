"""The views answer what people ask, and every query of the documentation runs."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llmtoken import audit
from llmtoken.audit import Filter, Rules
from llmtoken.report import Source
from support.databases import connect, only_sqlite, sql
from support.needs import ROOT
from support.records import record

QUERIES = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "audit.md").read_text("utf-8"), re.DOTALL)
DAY = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.fixture
def rows(database: str) -> Iterator[Any]:
    """A database with a few calls, as any program opens it."""
    second = timedelta(seconds=1)
    with audit.open(database, seals=True) as store:
        store.write(
            [
                record("a", started_at=DAY, input_tokens=10, output_tokens=1, total_tokens=11, cost=Decimal("0.1")),
                record(
                    "b",
                    started_at=DAY + second,
                    input_tokens=20,
                    cost=Decimal("0.2"),
                    consumer="bob",
                    stream=True,
                    details={"provider_cost": 0.1, "longest_stall": 2.5},
                ),
                record("c", started_at=DAY + second, input_tokens=None, cost=None, usage_source="estimated"),
                record(
                    "d", started_at=DAY + second, error_type="timeout", total_tokens=None, cost=None, consumer="bob"
                ),
                record(
                    "now",
                    started_at=datetime.now(UTC),
                    error_type="rate_limit",
                    labels={"team": "search"},
                    response_id="resp_1",
                    fetched=True,
                ),
            ]
        )
        store.write([], told=[([Source(boot="b", sequence=1, dropped=2)], None)])
        store.keep([("openai", "gpt-4o", "input", ((10, 12),))])
        store.write([record("forgotten", started_at=DAY - timedelta(days=10_000))])
        store.prune(Rules(calls=timedelta(days=9_000)), pause=lambda _: True)
        store.reprice(Filter(error="rate_limit"), lambda _: (Decimal("0.00038"), "new"))
    with closing(connect(database)) as connection:
        yield connection


def only(rows: Any, query: str) -> dict[str, Any]:
    found = rows.execute(query)
    [row] = found.fetchall()
    return dict(zip((column[0] for column in found.description), row, strict=True))


def first(rows: Any) -> int:
    """The id of the call `a`."""
    [(key,)] = rows.execute("SELECT id FROM calls WHERE request_id = 'a'").fetchall()
    return int(key)


def test_token_stats_has_the_columns_that_it_always_had(rows: Any) -> None:
    assert only(rows, "SELECT * FROM token_stats ORDER BY id LIMIT 1") == {
        "id": first(rows),
        "input_tokens": 10,
        "output_tokens": 1,
        "total_tokens": 11,
        "elapsed_time": 2.0,
        "tokens_per_second": 5.5,
        "timestamp": "2026-01-31T23:59:59.999999Z",
        "path": "/v1/chat/completions",
        "request_body": "question",
        "response_body": "answer",
    }


def test_token_stats_shows_calls_whose_bodies_were_not_kept(database: str) -> None:
    with audit.open(database) as store:
        store.write([record(request_body=None, response_body=None)])
    assert sql(database, "SELECT request_body, total_tokens FROM token_stats") == [(None, 120)]


def test_usage_by_day_ends_a_day_at_midnight_utc(rows: Any) -> None:
    days = dict(rows.execute("SELECT day, calls FROM usage_by_day ORDER BY day LIMIT 2").fetchall())
    assert days == {"1998-09-15": 1, "2026-01-31": 1}


def test_usage_by_day_sums_what_is_known_and_counts_what_is_not(rows: Any) -> None:
    day = only(rows, "SELECT * FROM usage_by_day WHERE day = '2026-02-01'")
    assert (day["input_tokens"], day["errors"], day["estimated_calls"], day["unpriced_calls"]) == (120, 1, 1, 2)


def test_cost_is_summed_without_a_floats_dust(rows: Any) -> None:
    old = "CREATE TEMP VIEW old AS SELECT * FROM usage_by_consumer"
    rows.execute(old)
    assert float(only(rows, "SELECT cost FROM old WHERE consumer = 'bob'")["cost"]) == 0.2
    assert float(only(rows, "SELECT cost FROM usage_by_model")["cost"]) == 0.30075


def test_usage_by_model_tells_providers_and_models_apart(database: str) -> None:
    with audit.open(database) as store:
        models = [("openai", "gpt-4o"), ("azure.ai.openai", "gpt-4o"), ("openai", "gpt-4.1"), ("openai", "gpt-4o")]
        store.write([record(f"r{n}", provider_name=p, request_model=m) for n, (p, m) in enumerate(models)])
    query = "SELECT provider_name, request_model, calls, input_tokens FROM usage_by_model ORDER BY 1, 2"
    assert sql(database, query) == [
        ("azure.ai.openai", "gpt-4o", 1, 100),
        ("openai", "gpt-4.1", 1, 100),
        ("openai", "gpt-4o", 2, 200),
    ]


def test_usage_by_consumer_has_a_row_for_each(rows: Any) -> None:
    assert dict(rows.execute("SELECT consumer, calls FROM usage_by_consumer").fetchall()) == {"alice": 4, "bob": 2}


@only_sqlite
def test_sqlite_reads_the_times(rows: Any) -> None:
    assert only(rows, "SELECT datetime(started_at) AS t FROM calls WHERE id = 1")["t"] == "2026-01-31 23:59:59"


@only_sqlite
def test_a_sum_of_floats_would_have_had_that_dust(rows: sqlite3.Connection) -> None:
    assert only(rows, "SELECT sum(cost) AS dust FROM calls WHERE request_id IN ('a', 'b')")["dust"] != 0.3


def test_the_bodies_go_with_their_call(rows: Any) -> None:
    if isinstance(rows, sqlite3.Connection):
        rows.execute("PRAGMA foreign_keys = ON")
    key = first(rows)
    rows.execute("DELETE FROM calls WHERE request_id = 'a'")
    assert rows.execute(f"SELECT call_id FROM bodies WHERE call_id = {key}").fetchall() == []  # noqa: S608


@only_sqlite
@pytest.mark.parametrize("query", QUERIES)
def test_a_documented_query_finds_something(rows: Any, query: str) -> None:
    assert rows.execute(query).fetchall()


@pytest.mark.parametrize(
    ("index", "condition"),
    [
        ("calls_started_at", "started_at >= '2026-01-01'"),
        ("calls_request_model", "request_model = 'gpt-4o' AND started_at >= '2026-01-01'"),
        ("calls_consumer", "consumer = 'bob' AND started_at >= '2026-01-01'"),
    ],
)
@only_sqlite
def test_what_is_asked_often_is_indexed(rows: Any, index: str, condition: str) -> None:
    plan = rows.execute(f"EXPLAIN QUERY PLAN SELECT * FROM calls WHERE {condition}").fetchall()  # noqa: S608
    assert index in str(plan[0])
