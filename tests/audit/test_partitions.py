"""PostgreSQL's partitions: made ahead of time, dropped when all in them is old, and the books are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from llmtoken import audit
from llmtoken.audit import Audit, Rules, Summary, migrate, partitions
from llmtoken.audit.connect import connect as connect_engines
from llmtoken.audit.connect import connect_read_only
from llmtoken.call import Record
from support.databases import connect, days_ago, sql
from support.records import new, record

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
RULES = Rules(bodies=20 * DAY, calls=40 * DAY)


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
def store(database: str) -> Iterator[Audit]:
    with audit.open(database, rules=RULES) as store:
        yield store


def write(store: Audit, database: str, days: int, *names: str, **changes: Any) -> None:
    """Calls that came in and arrived so many days ago."""
    with days_ago(database, days):
        store.write([record(name, **{"started_at": NOW - days * DAY, **changes}) for name in names])


def young(name: str) -> Record:
    """A call of just now."""
    return record(name, started_at=NOW)


def names(database: str, table: str) -> list[str]:
    query = f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass ORDER BY 1"  # noqa: S608
    return [row[0] for row in sql(database, query)]


def name(table: str, days: int) -> str:
    """The partition of that day, so many days ago."""
    return f"{table}_{NOW - days * DAY:%Y%m%d}"


def prune(store: Audit, rules: Rules = RULES) -> Summary:
    return store.prune(rules, pause=lambda _: True)


def deleted(summary: Summary) -> list[tuple[str, int]]:
    return [(each.deleted, each.count) for each in summary.done]


def stored(database: str) -> set[str]:
    return {row[0] for row in sql(database, "SELECT request_id FROM calls")}


def assert_right(store: Audit, *, counted: int) -> None:
    balance = store.verify()
    assert balance.differences == ()
    assert balance.calls + balance.pruned == counted == sum(sums.calls for sums in store.counters.values())
    assert store.unbalanced() == 0


# ── Made ahead of time ──────────────────────────────────────────────────────────────────


def test_today_and_the_days_after_it_have_partitions_from_the_first_call_on(store: Audit, database: str) -> None:
    store.write([record("a")])
    for table in partitions.TABLES:
        assert names(database, table) == [name(table, -ahead) for ahead in range(partitions.AHEAD + 1)]


def test_a_day_that_nobody_prepared_gets_its_partition_with_its_first_call(store: Audit, database: str) -> None:
    write(store, database, 0, "a")
    write(store, database, -100, "b")
    assert name("calls", -100) in names(database, "calls")
    assert stored(database) == {"a", "b"}


def test_replicas_may_begin_a_day_together(database: str) -> None:
    with audit.open(database, instance="one", rules=RULES) as one, audit.open(database, instance="two") as two:
        threads = [
            threading.Thread(target=write, args=(each, [young(each.instance), young("both")]))
            for each, write in ((one, Audit.write), (two, Audit.write))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert stored(database) == {"one", "two", "both"}


@pytest.mark.parametrize(
    ("age", "span"), [(None, "month"), (400, "month"), (309, "week"), (70, "week"), (69, "day"), (1, "day")]
)
def test_a_partition_covers_a_tenth_of_the_age_at_which_it_goes(age: int | None, span: str) -> None:
    assert partitions.span(None if age is None else age * DAY) == span


@pytest.mark.parametrize(
    ("day", "each", "first", "end"),
    [
        ("2026-11-26", "day", "2026-11-26", "2026-11-27"),
        ("2026-11-26", "week", "2026-11-23", "2026-11-30"),
        ("2026-11-23", "week", "2026-11-23", "2026-11-30"),
        ("2026-12-31", "month", "2026-12-01", "2027-01-01"),
    ],
)
def test_weeks_begin_on_monday_and_months_on_their_first(day: str, each: str, first: str, end: str) -> None:
    def number(text: str) -> int:
        return partitions.first_id_at(datetime.fromisoformat(text).replace(tzinfo=UTC)) >> partitions.BITS

    assert partitions._days(number(day), each) == (number(first), number(end))


def test_partitions_of_other_lengths_share_the_time_between_them(database: str) -> None:
    for rules in (Rules(calls=30 * DAY), None, Rules(calls=100 * DAY)):
        with audit.open(database, rules=rules) as store:
            for ahead in (0, 9, 40):
                write(store, database, -ahead, f"{rules}-{ahead}")
    connections = connect_read_only(database, busy_timeout=1)
    with connections.reader.connect() as connection:
        there = partitions.listed(connection, "calls")
    connections.close()
    assert all(one.high <= other.low for one, other in pairwise(there))
    assert len(stored(database)) == 9


def test_ids_are_in_the_order_of_arrival_and_fit_into_a_json_number(store: Audit, database: str) -> None:
    write(store, database, 5, "old")
    write(store, database, 0, "a")
    write(store, database, 0, "b")
    ordered = sql(database, "SELECT request_id, id FROM calls ORDER BY id")
    assert [row[0] for row in ordered] == ["old", "a", "b"]
    assert ordered[-1][1] < 2**53


def test_who_inserts_by_hand_gets_an_id_too(store: Audit, database: str) -> None:
    store.write([record("a")])
    sql(
        database,
        "INSERT INTO calls (request_id, started_at, stream, finish_reasons, usage_source, labels)"
        " VALUES ('by hand', now(), false, '[]', 'unknown', '{}')",
    )
    assert store.call("by hand")


# ── Each request once ───────────────────────────────────────────────────────────────────


def test_a_report_that_comes_again_on_another_day_is_known(store: Audit, database: str) -> None:
    write(store, database, 10, "a")
    assert new(store.write([record("a"), record("b")])) == [False, True]
    assert_right(store, counted=2)


def test_whoever_deletes_calls_by_hand_deletes_bodies_and_ids_with_them(store: Audit, database: str) -> None:
    store.write([record("a"), record("b")])
    sql(database, "DELETE FROM calls WHERE request_id = 'a'")
    assert sql(database, "SELECT count(*) FROM bodies") == [(1,)]
    assert sql(database, "SELECT request_id FROM request_ids") == [("b",)]


# ── Dropped whole ───────────────────────────────────────────────────────────────────────


def test_what_is_wholly_older_is_dropped_and_the_books_are_kept(store: Audit, database: str) -> None:
    write(store, database, 50, "a", "b", consumer="alice")
    write(store, database, 49, "c", consumer="bob", request_body=None, response_body=None)
    write(store, database, 0, "d")
    [(first, last)] = sql(database, "SELECT min(id), max(id) FROM calls WHERE request_id < 'd'")
    assert deleted(prune(store)) == [("bodies", 2), ("calls", 3)]
    assert stored(database) == {"d"}
    for table in partitions.TABLES:
        assert not {name(table, 50), name(table, 49), name(table, 48)} & {*names(database, table)}
    assert_right(store, counted=4)
    calls, bodies = store.prunings(10)
    assert (calls.rule, calls.deleted, calls.calls) == ("retain_calls = 40d", "calls", 3)
    assert (calls.first_id, calls.last_id) == (first, last)
    assert (calls.first_started_at, calls.last_started_at) == (NOW - 50 * DAY, NOW - 49 * DAY)
    assert (bodies.rule, bodies.calls) == ("retain_bodies = 20d", 2)
    assert sql(database, "SELECT request_id FROM request_ids") == [("d",)]


def test_bodies_are_dropped_earlier_than_calls(store: Audit, database: str) -> None:
    write(store, database, 30, "a")
    write(store, database, 0, "b")
    assert deleted(prune(store)) == [("bodies", 1), ("calls", 0)]
    assert name("bodies", 30) not in names(database, "bodies")
    assert name("calls", 30) in names(database, "calls")
    assert (store.call("a", bodies=True) or {})["response_body"] is None
    assert_right(store, counted=2)


def test_a_day_that_is_not_over_for_the_rule_stays_whole(store: Audit, database: str) -> None:
    write(store, database, 40, "a")
    write(store, database, 39, "b")
    prune(store)
    assert stored(database) == {"a", "b"}, "the first is overdue by less than a day"
    assert_right(store, counted=2)


def test_forgetting_a_consumer_drops_no_partition(store: Audit, database: str) -> None:
    write(store, database, 5, "alice-1", consumer="alice")
    write(store, database, 5, "bob-1", consumer="bob")
    store.write([record("alice-2", consumer="alice"), record("bob-2", consumer="bob")])
    before = names(database, "bodies")
    assert deleted(store.forget(["alice"], pause=lambda _: True)) == [("bodies", 2)]
    with_bodies = "SELECT request_id FROM calls JOIN bodies ON call_id = calls.id ORDER BY request_id"
    assert sql(database, with_bodies) == [("bob-1",), ("bob-2",)]
    assert names(database, "bodies") == before
    store.write([record("alice-3", consumer="alice")])


def test_a_call_that_is_younger_than_its_partition_keeps_it_and_the_others_go_one_by_one(
    store: Audit, database: str
) -> None:
    write(store, database, 50, "a")
    write(store, database, 50, "clock ahead", started_at=NOW + 1000 * DAY)
    assert deleted(prune(store))[1] == ("calls", 1)
    assert stored(database) == {"clock ahead"}
    assert_right(store, counted=2)


def test_a_call_that_a_younger_one_relies_on_keeps_its_partition(store: Audit, database: str) -> None:
    write(store, database, 50, "made", "other", response_id="resp-1")
    write(store, database, 1, "fetch")
    with days_ago(database, 0):
        store.write([record("again", response_id="resp-1", fetched=True, method="GET", started_at=NOW)])
    relied_on = store.counted_by("again")
    assert prune(store).kept == 1
    assert stored(database) == {relied_on, "fetch", "again"}
    assert_right(store, counted=4)


def test_a_reader_who_takes_his_time_puts_the_drop_off_and_stops_no_writer(
    store: Audit, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write(store, database, 40, "a", started_at=NOW - 39.5 * DAY)
    write(store, database, 0, "b")
    rules = Rules(calls=39 * DAY)
    with closing(connect(database)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calls")
        assert deleted(prune(store, rules)) == [("calls", 0)]
        assert new(store.write([young("c")])) == [True]
    assert "is dropped later" in caplog.text
    assert deleted(prune(store, rules)) == [("calls", 1)]
    assert_right(store, counted=3)


def test_ids_of_dropped_calls_that_were_not_forgotten_yet_are_later(store: Audit, database: str) -> None:
    write(store, database, 50, *(f"r{number}" for number in range(30)))
    store.write([young("new")])
    store.prune(RULES, pause=lambda _: False)
    prune(store)
    assert sql(database, "SELECT request_id FROM request_ids") == [("new",)]
    assert_right(store, counted=31)


# ── A database from before ──────────────────────────────────────────────────────────────


@pytest.fixture
def before(new_database: Callable[[str], str]) -> str:
    """A database without partitions, with a call of fifty days ago and one of today."""
    database = new_database("before")
    connections = connect_engines(database, busy_timeout=1)
    with connections.writer.begin() as connection:
        migrate.upgrade(connection, "0010")
    connections.close()
    for request_id, days in (("a", 50), ("b", 0)):
        sql(
            database,
            "WITH made AS (INSERT INTO calls (request_id, started_at, stream, finish_reasons, usage_source, labels,"  # noqa: S608
            f" details) VALUES ('{request_id}', now() - interval '{days} days', false, '[]', 'unknown', '{{}}', '{{}}')"
            " RETURNING id) INSERT INTO bodies (call_id, request_body) SELECT id, 'question' FROM made",
        )
    return database


def files(database: str, *tables: str) -> list[int]:
    names = ", ".join(f"pg_relation_filenode('{table}')" for table in tables)
    return list(sql(database, f"SELECT {names}")[0])


def test_its_tables_become_the_first_partitions_as_they_are(before: str) -> None:
    tables = ("calls", "bodies", "calls_pkey", "calls_request_model")
    was = files(before, *tables)
    with audit.open(before, rules=RULES) as store:
        assert new(store.write([record("a"), record("c")])) == [False, True]
        assert (store.call("a", bodies=True) or {})["request_body"] == "question"
        assert store.count() == 3
    assert files(before, "calls_before", "bodies_before", "calls_pkey_before", "calls_request_model_before") == was
    assert len(names(before, "calls_request_model")) == len(names(before, "calls")), "each index is part of the whole"


def test_views_show_all_partitions_those_of_others_too(before: str) -> None:
    sql(before, "CREATE VIEW mine AS SELECT request_id FROM calls")
    sql(before, "CREATE VIEW over_it AS SELECT count(*) AS calls FROM mine")
    with audit.open(before) as store:
        store.write([record("c")])
    assert sql(before, "SELECT calls FROM over_it") == [(3,)]
    assert sql(before, "SELECT count(*) FROM token_stats") == [(3,)]


def test_it_is_pruned_one_by_one_and_dropped_when_all_of_it_is_old(before: str) -> None:
    with audit.open(before, rules=RULES) as store:
        store.write([young("c")])
        assert deleted(prune(store)) == [("bodies", 1), ("calls", 1)]
        assert stored(before) == {"b", "c"}
        sql(before, "UPDATE calls SET started_at = now() - interval '60 days' WHERE request_id = 'b'")
        prune(store)
        assert stored(before) == {"c"}
        assert store.verify().differences == ()
