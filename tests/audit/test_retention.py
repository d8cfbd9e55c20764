"""Old bodies and calls are deleted; counters, sums and what is counted once stay right."""

import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmtoken import audit
from llmtoken.audit import Audit, Editor, Rules, Summary
from llmtoken.call import Record
from llmtoken.totals import NOTHING, plus
from support.databases import only_sqlite, sql
from support.needs import ROOT
from support.records import new, record

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def old(request_id: str, days: float, **changes: Any) -> Record:
    """A call from so many days ago."""
    return record(request_id, started_at=NOW - days * DAY, **changes)


def prune(
    store: Editor, rules: Rules | None = None, *, pause: Callable[[float], bool] = lambda _: True, **limits: Any
) -> Summary:
    return store.prune(rules or Rules(**limits), pause=pause)


def deleted(summary: Summary) -> list[tuple[str, int]]:
    return [(each.deleted, each.count) for each in summary.done]


def ids(store: Audit) -> set[str]:
    return {row["request_id"] for row in store.every()}


def with_bodies(store: Audit) -> set[str]:
    return {row["request_id"] for row in store.every() if row["request_body"] is not None}


def total_calls(store: Audit) -> int:
    sums = NOTHING
    for each in store.counters.values():
        sums = plus(sums, each)
    return sums.calls


def assert_right(store: Audit, *, counted: int) -> None:
    """The counters stand where they stood, and every proof agrees."""
    balance = store.verify()
    assert balance.balanced
    assert balance.calls + balance.pruned == counted == total_calls(store)
    assert store.unbalanced() == 0


# ── What is deleted ─────────────────────────────────────────────────────────────────────


def test_without_rules_nothing_is_deleted(store: Audit) -> None:
    store.write([old("a", 10_000)])
    assert deleted(prune(store)) == []
    assert with_bodies(store) == {"a"}


def test_bodies_go_earlier_than_calls(store: Audit) -> None:
    store.write([old("a", 400), old("b", 40), old("c", 4)])
    assert deleted(prune(store, bodies=30 * DAY, calls=365 * DAY)) == [("bodies", 2), ("calls", 1)]
    assert ids(store) == {"b", "c"}
    assert with_bodies(store) == {"c"}
    assert_right(store, counted=3)


def test_calls_take_their_bodies_along(store: Audit, database: str) -> None:
    store.write([old("a", 400), old("b", 1)])
    prune(store, calls=365 * DAY)
    assert sql(database, "SELECT count(*) FROM bodies") == [(1,)]
    assert_right(store, counted=2)


def test_a_second_run_finds_nothing_and_proves_nothing_new(store: Audit) -> None:
    store.write([old("a", 40)])
    prune(store, bodies=30 * DAY)
    before = store.prunings(10)
    assert deleted(prune(store, bodies=30 * DAY)) == [("bodies", 0)]
    assert store.prunings(10) == before


def test_more_than_one_batch_is_deleted_oldest_first(store: Audit) -> None:
    store.write([old(f"r{n}", 100 + n / 1000) for n in range(300)])
    pauses = []

    def twice(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) < 2

    summary = prune(store, calls=30 * DAY, pause=twice)
    assert summary.interrupted
    (_, count), *_ = deleted(summary)
    assert 0 < count < 300
    assert ids(store) == {f"r{n}" for n in range(300 - count)}
    assert_right(store, counted=300)
    prune(store, calls=30 * DAY)
    assert_right(store, counted=300)
    assert ids(store) == set()


def test_calls_from_before_counters_were_kept_are_deleted_and_in_no_sum(store: Audit, database: str) -> None:
    store.write([old("a", 40), old("b", 1)])
    sql(database, "UPDATE calls SET series_id = NULL WHERE request_id = 'a'")
    sql(database, "UPDATE totals SET calls = 1, input_tokens = 100, output_tokens = 20, cost = '0.00037'")
    sql(database, "UPDATE totals SET cache_read_input_tokens = 64")
    prune(store, calls=30 * DAY)
    assert (store.verify().pruned, store.verify().uncounted, store.verify().differences) == (0, 0, ())


def test_counters_go_on_after_a_restart_where_they_stood(database: str) -> None:
    with audit.open(database) as store:
        store.write([old("a", 40), old("b", 40, consumer="bob"), old("c", 1)])
        prune(store, calls=30 * DAY)
    with audit.open(database) as store:
        store.write([old("d", 0)])
        assert_right(store, counted=4)


# ── By size ─────────────────────────────────────────────────────────────────────────────


def used(store: Audit) -> int:
    before = prune(store).used_before
    assert before is not None
    return before


@only_sqlite
def test_too_large_a_database_loses_its_oldest_bodies_until_it_fits(store: Audit) -> None:
    store.write([record(f"r{n}", response_body="x" * 20_000, started_at=NOW) for n in range(400)])
    limit = used(store) // 2
    prune(store, bytes=limit)
    assert limit * 0.9 < used(store) <= limit
    kept = with_bodies(store)
    assert kept == {f"r{n}" for n in range(400 - len(kept), 400)}
    assert len(ids(store)) == 400
    assert_right(store, counted=400)


@only_sqlite
def test_when_bodies_are_not_enough_the_oldest_calls_go_but_none_of_the_last_day(store: Audit) -> None:
    store.write([old(f"r{n}", 2) for n in range(500)] + [old(f"young{n}", 0) for n in range(500)])
    prune(store, bytes=1)
    assert with_bodies(store) == set()
    assert ids(store) == {f"young{n}" for n in range(500)}
    assert_right(store, counted=1000)


@only_sqlite
def test_a_database_that_fits_is_left_alone(store: Audit) -> None:
    store.write([old("a", 1000)])
    assert deleted(prune(store, bytes=used(store))) == [("bodies", 0), ("calls", 0)]


@only_sqlite
def test_the_file_gets_shorter(store: Audit, database: str) -> None:
    for n in range(40):
        store.write([old(f"r{n}", 40, response_body="x" * 100_000)])
    store._connections.checkpoint()
    before = Path(database).stat().st_size
    summary = prune(store, bodies=30 * DAY)
    store._connections.checkpoint()
    assert summary.can_shrink
    assert Path(database).stat().st_size < before / 5
    assert (summary.used_after or 0) < (summary.used_before or 0)


@only_sqlite
def test_a_file_that_cannot_get_shorter_says_so_and_is_pruned_all_the_same(database: str) -> None:
    audit.open(database).close()
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    with audit.open(database) as store:
        store.write([old("a", 40)])
        summary = prune(store, bodies=30 * DAY)
        assert (summary.can_shrink, deleted(summary)) == (False, [("bodies", 1)])


# ── What must stay ──────────────────────────────────────────────────────────────────────


def reply(request_id: str, days: float, *, fetched: bool, response_id: str = "resp-1") -> Record:
    return old(request_id, days, response_id=response_id, fetched=fetched, input_tokens=100)


def test_the_call_that_has_a_replys_tokens_stays_as_long_as_the_reply_is_fetched(store: Audit) -> None:
    store.write([reply("made", 40, fetched=False), reply("polled", 1, fetched=True)])
    summary = prune(store, calls=30 * DAY)
    assert (ids(store), summary.kept) == ({"made", "polled"}, 1)
    store.write([reply("again", 0, fetched=True)])
    assert store.counted_by("again") == "made"
    assert_right(store, counted=3)


def test_it_goes_once_nobody_has_fetched_the_reply_for_as_long(store: Audit) -> None:
    store.write([reply("made", 50, fetched=False), reply("polled", 40, fetched=True)])
    prune(store, calls=30 * DAY)
    assert ids(store) == set()
    assert_right(store, counted=2)


def test_a_fetch_that_has_the_tokens_stays_for_those_after_it(store: Audit) -> None:
    store.write([reply("first", 40, fetched=True), reply("second", 2, fetched=True)])
    prune(store, calls=30 * DAY)
    assert ids(store) == {"first", "second"}


def test_who_gave_way_may_go_first(store: Audit) -> None:
    store.write([reply("fetch", 2, fetched=True)])
    store.write([reply("late", 40, fetched=False)])
    assert store.counted_by("late") == "fetch"
    prune(store, calls=30 * DAY)
    assert ids(store) == {"fetch"}
    assert_right(store, counted=2)


def test_a_report_of_the_last_day_that_comes_twice_is_known_whatever_the_rules_are(store: Audit) -> None:
    store.write([old("a", 0.9)])
    prune(store, bodies=timedelta(seconds=1), calls=timedelta(seconds=1), bytes=1)
    assert new(store.write([old("a", 0.9)])) == [False]


# ── The log ─────────────────────────────────────────────────────────────────────────────


def test_the_log_says_what_was_deleted_by_which_rule_and_when(store: Audit, database: str) -> None:
    store.write([old("a", 400), old("b", 40), old("c", 39), old("d", 4)])
    [(first, last)] = sql(database, "SELECT min(id), max(id) FROM calls WHERE request_id <> 'd'")
    prune(store, bodies=30 * DAY, calls=365 * DAY)
    calls, bodies = store.prunings(10)
    assert (calls.rule, calls.deleted, calls.calls) == ("retain_calls = 365d", "calls", 1)
    assert (bodies.rule, bodies.deleted, bodies.calls) == ("retain_bodies = 30d", "bodies", 3)
    assert (bodies.first_id, bodies.last_id) == (first, last)
    assert (bodies.first_started_at, bodies.last_started_at) == (NOW - 400 * DAY, NOW - 39 * DAY)
    assert NOW <= bodies.began_at <= bodies.ended_at <= datetime.now(UTC)


def test_a_rule_has_one_row_a_day(store: Audit) -> None:
    for n in range(3):
        store.write([old(f"r{n}", 40 + n)])
        prune(store, bodies=30 * DAY)
    assert sum(row.calls for row in store.prunings(10)) == 3
    days = {row.began_at.date() for row in store.prunings(10)}
    assert len(store.prunings(10)) == len(days)


# ── While others work ───────────────────────────────────────────────────────────────────


def test_the_watch_is_not_alarmed_by_what_was_deleted_before_it_looked(store: Audit) -> None:
    assert store.unbalanced() == 0
    store.write([old("a", 40), old("b", 1)])
    prune(store, calls=30 * DAY)
    assert store.unbalanced() == 0


def test_the_watch_still_sees_what_somebody_else_deletes(store: Audit, database: str) -> None:
    store.write([old("a", 40), old("b", 1)])
    prune(store, calls=30 * DAY)
    sql(database, "DELETE FROM calls")
    assert store.unbalanced() == 1
    assert store.unbalanced() == 1


def test_a_command_prunes_beside_the_collector(store: Audit, database: str) -> None:
    store.write([old(f"r{n}", 40) for n in range(50)])
    assert store.unbalanced() == 0
    with audit.open_beside(database) as editor:
        assert deleted(prune(editor, calls=30 * DAY)) == [("calls", 50)]
    store.write([old("new", 0)])
    assert_right(store, counted=51)


@pytest.mark.alone
def test_writers_go_on_while_it_deletes(store: Audit) -> None:
    for start in range(0, 6000, 500):
        store.write([old(f"r{n}", 40, response_body="x" * 5000) for n in range(start, start + 500)])
    done, deleting = threading.Event(), threading.Event()

    def delete() -> None:
        def pause(seconds: float) -> bool:
            deleting.set()
            time.sleep(seconds)
            return True

        prune(store, bodies=30 * DAY, calls=35 * DAY, pause=pause)
        done.set()

    def times(name: str, until: Callable[[int], bool]) -> list[float]:
        taken: list[float] = []
        while not until(len(taken)):
            began = time.monotonic()
            store.write([record(f"{name}-{len(taken)}", started_at=NOW)])
            taken.append(time.monotonic() - began)
        return taken

    alone = times("alone", lambda written: written == 200)
    thread = threading.Thread(target=delete)
    thread.start()
    assert deleting.wait(30)
    beside = times("beside", lambda _: done.is_set())
    thread.join()
    assert len(beside) > 20
    assert statistics.median(beside) < 8 * statistics.median(alone)
    assert_right(store, counted=6000 + len(alone) + len(beside))


# ── When it is cut off ──────────────────────────────────────────────────────────────────


@pytest.fixture
def filled(database: str) -> str:
    with audit.open(database, seals=True) as store:
        for start in range(0, 2000, 500):
            batch = range(start, start + 500)
            store.write([old(f"r{n}", 40, consumer=f"c{n % 7}", response_body="x" * 3000) for n in batch])
    return database


@only_sqlite
def test_wherever_it_is_killed_the_books_balance_and_the_log_is_true(filled: str, tmp_path: Path) -> None:
    program = ROOT / "tests" / "support" / "audit_pruner.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])}
    cut_in_the_middle = 0
    for attempt in range(6):
        database = str(tmp_path / f"{attempt}.db")
        shutil.copy(filled, database)
        with subprocess.Popen([sys.executable, program, database], stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout
            for _ in range(random.randint(1, 12)):  # noqa: S311
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        with audit.open(database, seals=True) as store:
            left, bodies = store.count(), len(with_bodies(store))
            cut_in_the_middle += 0 < bodies < 2000
            proof = {row.deleted: row.calls for row in store.prunings(10)}
            assert proof.get("calls", 0) == 2000 - left
            assert proof.get("bodies", 0) in (2000, 2000 - bodies)
            assert_right(store, counted=2000)
            assert store.verify_seals().whole
            prune(store, calls=30 * DAY)
            assert store.count() == 0
            assert_right(store, counted=2000)
            assert store.verify_seals().whole
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert cut_in_the_middle
