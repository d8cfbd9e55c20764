"""What is deleted or corrected on purpose leaves marks: the audit stays whole, and nothing else gets by with them."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llmtoken import audit
from llmtoken.audit import Audit, Filter, Rules
from llmtoken.errors import DatabaseError
from support.databases import days_ago, only_postgresql, only_sqlite, sql
from support.records import record
from support.sealed import KEY, KEYS, found, head, sealed, verified

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
BODIES, CALLS = Rules(bodies=30 * DAY), Rules(calls=35 * DAY)
OLD = Decimal("0.00037")


@pytest.fixture(params=KEYS, ids=["without a key", "with a key"])
def keys(request: pytest.FixtureRequest) -> Sequence[str]:
    return tuple(request.param)


@pytest.fixture
def store(database: str, keys: Sequence[str]) -> Iterator[Audit]:
    """Ten old calls and five of today, in commits of five."""
    with sealed(database, keys, instance="one") as store:
        for start in (0, 5):
            store.write([record(f"old-{start + n}", started_at=NOW - 60 * DAY, consumer="bob") for n in range(5)])
        store.write([record(f"new-{n}", started_at=NOW, consumer=f"c{n % 2}") for n in range(5)])
        yield store


def prune(store: Audit, rules: Rules) -> None:
    # PostgreSQL leaves rows for as long as their partition may need.
    store.prune(rules, pause=lambda _: True)


def price(amounts: dict[str, str | None]) -> Any:
    def of(row: Any) -> tuple[Decimal, str] | None:
        amount = amounts.get(row.request_id, str(row.cost) if row.cost is not None else None)
        return None if amount is None else (Decimal(amount), "new")

    return of


# ── Bodies ──────────────────────────────────────────────────────────────────────────────


def test_retention_of_bodies_keeps_it_whole(store: Audit, database: str, keys: Sequence[str]) -> None:
    prune(store, BODIES)
    assert sql(database, "SELECT count(*) FROM bodies") == [(5,)]
    assert (found(database, keys), verified(database, keys).calls) == ({}, 15)
    sql(database, "DELETE FROM bodies WHERE call_id = (SELECT id FROM calls WHERE request_id = 'new-1')")
    assert found(database, keys) == {"bodies_missing": 1}


def test_forgetting_a_consumer_keeps_it_whole(store: Audit, database: str, keys: Sequence[str]) -> None:
    store.forget(["c0"], pause=lambda _: True)
    assert found(database, keys) == {}
    sql(database, "UPDATE calls SET consumer = 'c0' WHERE request_id = 'new-1'")
    assert found(database, keys) == {"call_changed": 1}


def test_bodies_that_came_back_are_found(store: Audit, database: str, keys: Sequence[str]) -> None:
    store.forget(["c0"], pause=lambda _: True)
    sql(database, "INSERT INTO bodies SELECT id, 'question', 'answer' FROM calls WHERE request_id = 'new-2'")
    assert found(database, keys) == {"bodies_returned": 1}


# ── Calls ───────────────────────────────────────────────────────────────────────────────


def test_retention_of_calls_keeps_it_whole_and_lets_go_of_their_seals(
    store: Audit, database: str, keys: Sequence[str]
) -> None:
    before = sql(database, "SELECT count(*) FROM seals WHERE kind = 'calls'")
    prune(store, CALLS)
    assert (found(database, keys), verified(database, keys).calls) == ({}, 5)
    assert before == [(3,)]
    assert sql(database, "SELECT count(*) FROM seals WHERE kind = 'calls'") == [(1,)]
    store.write([record("later")])
    assert found(database, keys) == {}


def test_what_is_left_of_the_chains_is_as_strict_as_before(store: Audit, database: str, keys: Sequence[str]) -> None:
    noted = head(database, "one", keys)
    prune(store, CALLS)
    store.write([record("later")])
    assert found(database, keys, [noted]) == {}
    lowest = "(SELECT min(sequence) FROM seals WHERE instance = 'one')"
    sql(database, f"DELETE FROM seals WHERE instance = 'one' AND sequence = {lowest}")  # noqa: S608
    assert found(database, keys)["seal_missing"] == 1
    sql(database, "DELETE FROM seals WHERE instance = 'one'")
    assert found(database, keys)["seal_missing"] == 1


def test_a_call_that_somebody_else_took_out_stays_missing_after_retention(
    store: Audit, database: str, keys: Sequence[str]
) -> None:
    sql(database, "DELETE FROM bodies WHERE call_id = (SELECT id FROM calls WHERE request_id = 'old-7')")
    sql(database, "DELETE FROM calls WHERE request_id = 'old-7'")
    prune(store, CALLS)
    assert found(database, keys) == {"call_missing": 1}
    prune(store, CALLS)
    assert found(database, keys) == {"call_missing": 1}


def test_a_run_without_anything_to_delete_writes_nothing(store: Audit, database: str) -> None:
    prune(store, CALLS)
    before = sql(database, "SELECT count(*), max(sequence) FROM seals")
    for _ in range(3):
        prune(store, CALLS)
    assert sql(database, "SELECT count(*), max(sequence) FROM seals") == before


@pytest.mark.parametrize("rounds", [30])
def test_the_chains_dont_grow_where_calls_are_deleted(database: str, keys: Sequence[str], rounds: int) -> None:
    with sealed(database, keys) as store:
        _fill_and_prune(store, rounds)
    [(seals,)] = sql(database, "SELECT count(*) FROM seals")
    assert seals < 10
    assert found(database, keys) == {}


def _fill_and_prune(store: Audit, rounds: int) -> None:
    for number in range(rounds):
        store.write([record(f"r{number}", started_at=NOW - 60 * DAY)])
        prune(store, CALLS)


@pytest.mark.parametrize("content", ['{"rule": "", "ids": [[1, 99999999999999999]]}', '{"ids": 7}', "no JSON"])
def test_a_mark_that_somebody_made_up_or_edited_is_found(
    store: Audit, database: str, keys: Sequence[str], engine: str, content: str
) -> None:
    prune(store, BODIES)
    binary = f"convert_to('{content}', 'UTF8')" if engine == "postgresql" else f"CAST('{content}' AS BLOB)"
    sql(database, f"UPDATE seals SET content = {binary} WHERE kind = 'deleted_bodies'")  # noqa: S608
    assert "seal_broken" in found(database, keys)
    prune(store, CALLS)  # isn't stopped by it
    assert "seal_broken" in found(database, keys)


@only_sqlite
def test_a_mark_says_which_calls_and_by_which_rule(store: Audit, database: str) -> None:
    prune(store, BODIES)
    [(content,)] = sql(database, "SELECT content FROM seals WHERE kind = 'deleted_bodies'")
    assert json.loads(content) == {"rule": "retain_bodies = 30d", "ids": [[1, 10]]}


# ── Corrections ─────────────────────────────────────────────────────────────────────────


def test_corrected_prices_keep_it_whole(store: Audit, database: str, keys: Sequence[str]) -> None:
    for amounts in ({"new-1": "1.50", "new-2": None}, {"new-1": "0.00040"}, {"new-2": "3"}):
        store.reprice(Filter(), price({**amounts}))
        assert found(database, keys) == {}
    sql(database, "UPDATE calls SET price_version = 'x' WHERE request_id = 'new-1'")
    assert found(database, keys) == {"call_changed": 1}


def test_a_correction_doesnt_cover_what_somebody_changed_before_it(
    store: Audit, database: str, keys: Sequence[str]
) -> None:
    sql(database, "UPDATE calls SET consumer = 'somebody else' WHERE request_id = 'new-1'")
    store.reprice(Filter(), price({"new-1": "1.50"}))
    assert found(database, keys) == {"call_changed": 1}


@pytest.mark.parametrize("between", [False, True])
def test_a_price_that_somebody_changed_before_a_correction_is_found(
    store: Audit, database: str, keys: Sequence[str], between: bool
) -> None:
    if between:
        store.reprice(Filter(), price({"new-1": "1.50"}))
    sql(database, "UPDATE calls SET cost = 7 WHERE request_id = 'new-1'")
    store.reprice(Filter(), price({"new-1": "1.25"}))
    assert found(database, keys) == {"call_changed": 1}


def test_a_corrected_price_that_is_set_back_is_found(store: Audit, database: str, keys: Sequence[str]) -> None:
    store.reprice(Filter(), price({"new-1": "1.50"}))
    sql(
        database,
        "UPDATE calls SET cost = (SELECT cost FROM calls WHERE request_id = 'new-3'), price_version = '2026-01-01'"
        " WHERE request_id = 'new-1'",
    )
    assert found(database, keys) == ({"call_changed": 1})


# ── Without the key ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("given", [(), ("another key, also long enough",)])
def test_without_the_key_nothing_is_deleted_or_corrected(database: str, given: Sequence[str]) -> None:
    with sealed(database, [KEY]) as store:
        store.write([record("a", started_at=NOW - 60 * DAY)])
    with audit.open_beside(database, seal_keys=given) as editor:
        for change in (
            lambda: editor.prune(CALLS, pause=lambda _: True),
            lambda: editor.forget(["alice"], pause=lambda _: True),
            lambda: editor.reprice(Filter(), price({"a": "1"})),
        ):
            with pytest.raises(DatabaseError, match="made with a key"):
                change()
    assert (found(database, [KEY]), verified(database, [KEY]).calls) == ({}, 1)
    assert sql(database, "SELECT count(*) FROM bodies") == [(1,)]


def test_a_command_beside_the_collector_leaves_its_marks(database: str) -> None:
    with sealed(database, [KEY]) as store, audit.open_beside(database, seal_keys=[KEY]) as editor:
        store.write([record("old", started_at=NOW - 60 * DAY), record("b", consumer="bob"), record("c")])
        editor.prune(Rules(bodies=30 * DAY), pause=lambda _: True)
        store.write([record("d")])
        editor.forget(["bob"], pause=lambda _: True)
        editor.reprice(Filter(), price({"d": "1"}))
        store.write([record("e")])
    assert (found(database, [KEY]), verified(database, [KEY]).calls) == ({}, 5)


def test_a_collector_that_doesnt_seal_any_more_still_leaves_marks(database: str) -> None:
    with sealed(database) as store:
        store.write([record("old", started_at=NOW - 60 * DAY), record("young", started_at=NOW)])
    with audit.open(database) as store:
        prune(store, CALLS)
    assert found(database) == {}


# ── Partitions ──────────────────────────────────────────────────────────────────────────


@only_postgresql
def test_partitions_that_are_dropped_keep_it_whole(database: str, keys: Sequence[str]) -> None:
    rules = Rules(bodies=20 * DAY, calls=40 * DAY)
    with sealed(database, keys, rules=rules) as store:
        for days in (60, 30, 5):
            with days_ago(database, days):
                names = [f"d{days}-{number}" for number in range(4)]
                store.write([record(name, started_at=NOW - days * DAY) for name in names])
        prune(store, rules)
        assert sql(database, "SELECT count(*) FROM calls") == [(8,)]
        assert sql(database, "SELECT count(*) FROM bodies") == [(4,)]
        assert (found(database, keys), verified(database, keys).calls) == ({}, 8)
        sql(database, "DELETE FROM calls WHERE request_id = 'd30-1'")
        assert found(database, keys) == {"call_missing": 1}


# ── Meanwhile ───────────────────────────────────────────────────────────────────────────


def test_a_look_while_calls_are_written_deleted_and_corrected_finds_nothing(database: str, keys: Sequence[str]) -> None:
    with sealed(database, keys) as store:
        store.write([record(f"r{number}", started_at=NOW - 60 * DAY) for number in range(200)])
        stop, failures = threading.Event(), []

        def work() -> None:
            try:
                for number in itertools.count():
                    store.write([record(f"w{number}-{n}", started_at=NOW - (n % 2) * 60 * DAY) for n in range(20)])
                    store.reprice(Filter(), price({f"w{number}-2": "5"}))
                    prune(store, Rules(bodies=30 * DAY, calls=35 * DAY))
                    if stop.is_set():
                        return
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shall show it
                failures.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            looks = [found(database, keys) for _ in range(8)]
        finally:
            stop.set()
            worker.join()
        assert (failures, looks) == ([], [{}] * 8)
