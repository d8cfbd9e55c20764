"""The sums of each day are those of its calls, whatever arrives, and whatever is deleted or mended later."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects import postgresql

from llmtoken import audit
from llmtoken.audit import Audit, Filter, Reader, Rules, corrections, migrate
from llmtoken.audit.connect import connect
from llmtoken.audit.rollups import COARSE, SUMS, _sum, daily_usage
from llmtoken.audit.schema import calls, metadata
from llmtoken.audit.upsert import _prepared
from llmtoken.call import Record
from llmtoken.errors import StorageUnavailable
from support.databases import locked, only_sqlite, sql
from support.records import record

DAY = datetime(2026, 1, 31, 12, tzinfo=UTC)
TABLES = [table.name for table in (daily_usage, *COARSE)]


def rows(store: Audit, table: str = "daily_usage") -> list[dict[str, Any]]:
    query = select(metadata.tables[table]).order_by("day", "digest")
    with store._connections.reader.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def traffic(count: int, seed: int = 7) -> list[Record]:
    """Calls of a few days with everything that matters to sums: unknowns, zeros, duplicates, fetches, odd names."""
    chance = random.Random(seed)  # noqa: S311
    some: list[Record] = []
    for number in range(count):
        tokens = chance.choice([None, 0, chance.randrange(1000)])
        some.append(
            record(
                f"r{chance.randrange(count)}",
                fetched=chance.random() < 0.2,
                response_id=f"reply-{chance.randrange(count // 3)}",
                started_at=DAY + timedelta(hours=chance.randrange(72), microseconds=number),
                provider_name=chance.choice(["openai", None]),
                request_model=chance.choice(["gpt-4o", "gpt-4o\0", "gpt-4o\ud800", 'größer 大 \x7f\x1f"\\/', None]),
                response_model=chance.choice(["gpt-4o-2024-08-06", ""]),
                http_status=chance.choice([200, 200, 429, None]),
                error_type=chance.choice([None, None, "timeout"]),
                consumer=chance.choice(["ann", "bob", None, "x" * 600]),
                input_tokens=tokens,
                total_tokens=tokens,
                cache_read_input_tokens=chance.choice([None, 0]),
                reasoning_output_tokens=None,
                usage_source=chance.choice(["reported", "estimated", "partial"]),
                cost=chance.choice([None, Decimal(chance.randrange(10**9)) / 10**9]),
            )
        )
    return some


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database that tests only read."""
    path = str(tmp_path_factory.mktemp("rollups") / "audit.db")
    records = traffic(400)
    with audit.open(path) as store:
        for start in range(0, len(records), 30):
            store.write(records[start : start + 30])
    return path


@pytest.fixture
def busy(engine: str, filled: str, database: str) -> Iterator[Audit]:
    """The same, to be changed."""
    if engine == "sqlite":
        shutil.copy(filled, database)
    with audit.open(database) as store:
        if engine != "sqlite":
            store.write(traffic(400))
        yield store


def test_a_day_and_all_that_calls_are_told_apart_by_have_a_row(store: Audit) -> None:
    store.write([record("a"), record("b"), record("c", consumer="bob"), record("d", started_at=DAY)])
    assert [(row["day"], row["calls"]) for row in rows(store, "daily_model_usage")] == [
        ("2026-01-02", 3),
        ("2026-01-31", 1),
    ]
    assert {(row["day"], row["consumer"], row["calls"], row["input_tokens"]) for row in rows(store)} == {
        ("2026-01-02", "alice", 2, 200),
        ("2026-01-02", "bob", 1, 100),
        ("2026-01-31", "alice", 1, 100),
    }


def test_unknown_is_one_group_of_its_own(store: Audit) -> None:
    store.write([record("a", consumer=None)])
    store.write([record("b", consumer=None), record("c", consumer="")])
    assert {(row["consumer"], row["calls"]) for row in rows(store, "daily_consumer_usage")} == {(None, 2), ("", 1)}


def test_a_sum_is_unknown_until_a_call_says_something(store: Audit) -> None:
    store.write([record("a", reasoning_output_tokens=None, cost=None)])
    [row] = rows(store)
    assert (row["reasoning_output_tokens"], row["cost"]) == (None, None)
    store.write([record("b", reasoning_output_tokens=0, cost=Decimal("0.1"))])
    [row] = rows(store)
    assert (row["reasoning_output_tokens"], row["cost"]) == (0, Decimal("0.1"))


def test_a_report_that_comes_twice_is_added_once(store: Audit) -> None:
    store.write([record("a"), record("a")])
    store.write([record("a"), record("b")])
    assert [row["calls"] for row in rows(store)] == [2]


def test_a_late_call_is_added_to_its_own_day(store: Audit) -> None:
    store.write([record("new", started_at=DAY)])
    store.write([record("late", started_at=DAY - timedelta(days=300))])
    assert [row["day"] for row in rows(store)] == ["2025-04-06", "2026-01-31"]


def test_tokens_that_another_call_has_are_added_once(store: Audit) -> None:
    store.write([record("fetch", fetched=True, started_at=DAY + timedelta(seconds=9))])
    store.write([record("made", started_at=DAY), record("again", fetched=True, started_at=DAY + timedelta(hours=1))])
    [row] = rows(store)
    assert (row["calls"], row["input_tokens"], row["cost"]) == (3, 100, Decimal("0.00037"))


def test_a_transaction_that_fails_adds_nothing(store: Audit, database: str) -> None:
    store.write([record("a")])
    with locked(database), pytest.raises(StorageUnavailable):
        store.write([record("b")])
    store.write([record("b")])
    assert [row["calls"] for row in rows(store)] == [2]


def test_all_that_may_arrive_adds_up(busy: Audit) -> None:
    balance = busy.verify()
    assert balance.balanced
    assert balance.calls > 200


@pytest.mark.parametrize("group_by", [[], ["day"], ["month", "model"], ["consumer", "status"], ["provider", "error"]])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"consumer": "ann"},
        {"status": "4xx", "provider": "openai"},
        {"since": DAY + timedelta(hours=1), "until": DAY + timedelta(hours=50)},
        {"since": DAY + timedelta(hours=1)},
        {"until": DAY + timedelta(hours=9), "error": "true"},
        {"since": DAY + timedelta(hours=1), "until": DAY + timedelta(hours=2)},
    ],
)
def test_usage_is_the_same_from_sums_as_from_calls(filled: str, given: dict[str, Any], group_by: list[str]) -> None:
    """Hours are always summed over the calls, so their sum is the control."""
    with audit.open_read_only(filled) as busy:
        assert_same(busy, given, group_by)


def assert_same(busy: Reader, given: dict[str, Any], group_by: list[str]) -> None:
    answer = busy.usage(Filter.of(**given), group_by)
    control: dict[tuple[Any, ...], list[Any]] = {}
    for row in busy.usage(Filter.of(**given), ["hour", *(name for name in group_by if name not in ("day", "month"))]):
        time = {"day": row["hour"][:10], "month": row["hour"][:7]}
        key = tuple(time.get(name, row.get(name)) for name in group_by)
        sums = control.setdefault(key, [None] * len(SUMS))
        for place, name in enumerate(SUMS):
            value = Decimal(row[name]) if name == "cost" and row[name] is not None else row[name]
            if value is not None:
                sums[place] = value + (sums[place] or 0)
    shown = {tuple(row[name] for name in group_by): [row[name] for name in SUMS[:-1]] for row in answer if row["calls"]}
    assert shown == {key: sums[:-1] for key, sums in control.items()}
    costs = {tuple(row[name] for name in group_by): row["cost"] for row in answer if row["cost"] is not None}
    assert {key: Decimal(cost) for key, cost in costs.items()} == {
        k: s[-1] for k, s in control.items() if s[-1] is not None
    }


# ── Pruning ─────────────────────────────────────────────────────────────────────────────


def test_pruned_calls_stay_in_the_sums_and_in_the_views(busy: Audit, database: str) -> None:
    before, usage = [rows(busy, table) for table in TABLES], busy.usage(group_by=["day", "model", "consumer"])
    busy.prune(Rules(calls=timedelta(days=1)), pause=lambda _: True)
    assert (busy.count(), busy.verify().balanced) == (0, True)
    assert [rows(busy, table) for table in TABLES] == before
    assert busy.usage(group_by=["day", "model", "consumer"]) == usage
    assert sql(database, "SELECT sum(calls) FROM usage_by_consumer") == [(sum(row["calls"] for row in usage),)]


# ── Corrections ─────────────────────────────────────────────────────────────────────────

Change = Callable[[ColumnElement[bool]], Any]
CHANGES: dict[str, Change] = {
    "a new price": lambda which: update(calls).where(which).values(cost=Decimal("0.000000000000000001")),
    "no price any more": lambda which: update(calls).where(which).values(cost=None),
    "a consumer who is forgotten": lambda which: update(calls).where(which).values(consumer=None),
    "tokens become known": lambda which: update(calls).where(which).values(reasoning_output_tokens=0),
    "tokens become unknown": lambda which: update(calls).where(which).values(input_tokens=None, total_tokens=None),
    "calls are deleted": lambda which: delete(calls).where(which),
    "nothing": lambda which: update(calls).where(which).values(cost=calls.c.cost),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("which", [calls.c.id <= 1, calls.c.id % 3 == 0, calls.c.id > 0], ids=["one", "some", "all"])
def test_the_sums_follow_what_is_corrected(busy: Audit, change: str, which: ColumnElement[bool]) -> None:
    with busy._changing() as connection, corrections.corrected(connection, which):
        connection.execute(CHANGES[change](which))
    assert busy.verify().rollup_differences == ()


def test_calls_are_corrected_beside_pruned_ones_of_the_same_day(store: Audit) -> None:
    store.write([record("old", cost=None), record("older", cost=Decimal(1), started_at=DAY - timedelta(days=99))])
    store.write([record(f"r{n}", started_at=DAY - timedelta(days=99)) for n in range(3)])
    store.prune(Rules(calls=timedelta(days=1)), pause=lambda _: True)
    store.write([record("late", cost=Decimal(2)), record("too late", cost=Decimal(3))])
    which = calls.c.request_id == "late"
    with store._changing() as connection, corrections.corrected(connection, which):
        connection.execute(update(calls).where(which).values(cost=None))
    assert store.verify().rollup_differences == ()
    assert [(row["calls"], row["cost"]) for row in rows(store) if row["day"] == "2026-01-02"] == [(3, 3)]


# ── Proof ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("table", TABLES)
def test_verify_names_the_sum_that_differs(store: Audit, table: str) -> None:
    store.write([record("a"), record("b", consumer="bob")])
    with store._changing() as connection:
        connection.execute(update(metadata.tables[table]).values(input_tokens=1))
    balance = store.verify()
    assert (balance.balanced, balance.differences) == (False, ())
    assert {each.table for each in balance.rollup_differences} == {table}
    assert {(each.day, each.name) for each in balance.rollup_differences} == {("2026-01-02", "input_tokens")}


def test_verify_notices_a_call_that_somebody_deleted(store: Audit) -> None:
    store.write([record("a"), record("b", consumer="bob")])
    with store._changing() as connection:
        connection.exec_driver_sql("DELETE FROM calls WHERE consumer = 'bob'")
    found = {(each.table, each.name, each.kept, each.rows) for each in store.verify().rollup_differences}
    assert ("daily_usage", "calls", "1", None) in found
    assert ("daily_model_usage", "calls", "2", "1") in found


# ── Upgrade ─────────────────────────────────────────────────────────────────────────────


@only_sqlite
def test_an_older_database_is_filled_from_its_calls(busy: Audit, database: str, tmp_path: Path) -> None:
    busy.write([record(f"more-{number}", consumer=f"consumer-{number}") for number in range(2500)])
    old = str(tmp_path / "old.db")
    connections = connect(old, busy_timeout=0.05)
    with connections.writer.begin() as connection:
        migrate.upgrade(connection, "0006")
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS new", [database])
        for table in ("series", "totals", "calls"):
            connection.execute(f"INSERT INTO {table} SELECT * FROM new.{table}")  # noqa: S608
    connections.close()
    with audit.open(old) as migrated:
        assert migrated.verify().balanced
        assert [rows(migrated, table) for table in TABLES] == [rows(busy, table) for table in TABLES]


def test_postgresql_is_told_to_add_money_not_to_join_it() -> None:
    statement, _, _ = _prepared(daily_usage, _sum, postgresql.psycopg.dialect())
    assert "daily_usage.cost + excluded.cost" in statement
