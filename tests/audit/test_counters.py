"""What the counters stand at is committed with the calls, and is there again after every end."""

import sqlite3
from collections.abc import Mapping
from dataclasses import astuple
from decimal import Decimal
from functools import reduce
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.audit.balance import Difference
from llmtoken.errors import StorageUnavailable
from llmtoken.totals import NOTHING, Labels, Sums, labels, plus, total
from support.calls import call, streamed
from support.databases import locked, only_sqlite, sql
from support.records import new, record


def everything(counters: Mapping[Labels, Sums]) -> Sums:
    return reduce(plus, counters.values(), NOTHING)


def test_calls_are_counted_under_their_labels(store: Audit) -> None:
    store.write([record("a"), record("b"), record("c", consumer="bob")])
    assert store.counters == {
        labels(call()): total([call(), call()]),
        labels(call(consumer="bob")): total([call()]),
    }


def test_counters_go_on_where_they_stood(database: str) -> None:
    with audit.open(database) as store:
        store.write([record("a"), record("b", cost=Decimal("0.1"), consumer=None, http_status=None)])
        stood = dict(store.counters)
    with audit.open(database) as store:
        assert store.counters == stood
        store.write([record("c")])
        assert store.counters[labels(call())] == plus(stood[labels(call())], total([call()]))


def test_series_come_back_in_the_order_in_which_they_were_made(database: str) -> None:
    with audit.open(database) as store:
        for number in (3, 1, 2):
            store.write([record(f"r{number}", consumer=f"c{number}")])
    with audit.open(database) as store:
        assert [each.consumer for each in store.counters] == ["c3", "c1", "c2"]


def test_a_report_that_comes_twice_is_counted_once(store: Audit) -> None:
    store.write([record("a"), record("a")])
    store.write([record("a", consumer="somebody new")])
    assert everything(store.counters).calls == 1
    assert store.verify().balanced


def test_the_tokens_that_another_call_has_are_not_counted_again(store: Audit) -> None:
    store.write([record("make"), record("fetch", fetched=True, method="GET")])
    counted = everything(store.counters)
    assert (counted.calls, counted.input_tokens) == (2, 100)
    assert {each.usage_source for each in store.counters} == {"reported", "unknown"}


def test_names_are_bounded_by_whoever_says_the_labels(store: Audit) -> None:
    store.write([record("a"), record("b", consumer="bob")], lambda each: labels(each)._replace(consumer="_other"))
    assert [each.consumer for each in store.counters] == ["_other"]
    assert store.verify().balanced


def test_what_was_not_committed_is_not_counted(database: str, store: Audit) -> None:
    store.write([record("a")])
    with locked(database), pytest.raises(StorageUnavailable):
        store.write([record("b"), record("c", consumer="new")])
    assert everything(store.counters).calls == 1
    assert new(store.write([record("b"), record("c", consumer="new")])) == [True, True]
    assert everything(store.counters).calls == 3
    assert store.verify().balanced


def test_after_a_commit_of_which_nobody_knows_the_counters_are_read_from_the_database(store: Audit) -> None:
    def committed_but_never_heard(connection: Connection) -> None:
        connection.exec_driver_sql("COMMIT")
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("connection lost"))

    event.listen(store._connections.writer.engine, "commit", committed_but_never_heard)
    with pytest.raises(StorageUnavailable):
        store.write([record("a")])
    event.remove(store._connections.writer.engine, "commit", committed_but_never_heard)
    assert new(store.write([record("a"), record("b")])) == [False, True]
    assert everything(store.counters).calls == 2
    assert store.verify().balanced


def test_each_instance_has_counters_of_its_own(database: str) -> None:
    for instance in ("one", "two", "one"):
        with audit.open(database, instance=instance) as store:
            store.write([record(f"{instance}-{everything(store.counters).calls}")])
    for instance, calls in (("one", 2), ("two", 1), ("", 0)):
        with audit.open(database, instance=instance) as store:
            assert everything(store.counters).calls == calls
            assert store.verify().instances == 2


@only_sqlite
def test_a_file_that_was_replaced_brings_its_own_counters(database: str, store: Audit, tmp_path: Path) -> None:
    store.write([record("a"), record("b", consumer="bob")])
    other = tmp_path / "other.db"
    with audit.open(str(other)) as another:
        another.write([record("c", consumer="carol")])
    other.replace(database)
    for suffix in ("-wal", "-shm"):
        Path(database + suffix).unlink(missing_ok=True)
    store.write([record("d")])
    assert everything(store.counters).calls == 2
    assert store.verify().balanced
    assert store.unbalanced() == 0


# ── The balance ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def written(database: str) -> str:
    with audit.open(database) as store:
        store.write([record("a"), record("b", cost=Decimal("0.1")), record("c", cost=Decimal("0.2"))])
        store.write([record("d", consumer="bob", cost=None)])
    return database


def test_an_untouched_audit_balances(written: str) -> None:
    with audit.open_read_only(written) as reader:
        balance = reader.verify()
    assert (balance.calls, balance.series, balance.instances, balance.uncounted) == (4, 2, 1, 0)
    assert balance.balanced


@pytest.mark.parametrize(
    ("change", "name", "counter", "rows"),
    [
        ("DELETE FROM calls WHERE request_id = 'd'", "calls", "1", "0"),
        ("UPDATE calls SET input_tokens = 101 WHERE request_id = 'd'", "input_tokens", "100", "101"),
        ("UPDATE calls SET output_tokens = NULL WHERE request_id = 'd'", "output_tokens", "20", None),
        ("UPDATE calls SET cost = '0.1' WHERE request_id = 'c'", "cost", "0.30037", "0.20037"),
        ("UPDATE totals SET unpriced_calls = 7 WHERE unpriced_calls > 0", "unpriced_calls", "7", "1"),
        ("UPDATE totals SET reasoning_output_tokens = 3 WHERE calls = 1", "reasoning_output_tokens", "3", "0"),
        ("DELETE FROM totals WHERE calls = 3", "calls", "0", "3"),
    ],
)
def test_whatever_is_changed_by_hand_is_named(
    written: str, change: str, name: str, counter: str, rows: str | None
) -> None:
    sql(written, change)
    with audit.open_read_only(written) as reader:
        found = {each.name: each for each in reader.verify().differences}
    assert isinstance(found[name], Difference)
    assert astuple(found[name])[3:] == (counter, rows)
    assert found[name].labels["provider_name"] == "openai"


def test_what_was_pruned_still_counts(written: str) -> None:
    sql(
        written,
        "INSERT INTO pruned_totals SELECT series_id, 1, 1, input_tokens, output_tokens, cache_read_input_tokens, "
        "cache_write_input_tokens, reasoning_output_tokens, NULL FROM calls WHERE request_id = 'd'",
    )
    sql(written, "DELETE FROM calls WHERE request_id = 'd'")
    with audit.open(written) as store:
        assert store.verify().differences == ()
        assert (store.verify().calls, store.verify().pruned) == (3, 1)
        assert store.unbalanced() == 0


def test_calls_from_before_counters_were_kept_are_in_none(written: str) -> None:
    sql(written, "UPDATE calls SET series_id = NULL WHERE request_id = 'd'")
    sql(written, "UPDATE totals SET calls = 0 WHERE calls = 1")
    with audit.open_read_only(written) as reader:
        assert reader.verify().uncounted == 1


@pytest.mark.parametrize(
    "change",
    ["UPDATE calls SET input_tokens = 1 WHERE request_id = 'b'", "UPDATE totals SET calls = 99 WHERE calls = 2"],
)
def test_the_watch_sees_what_is_wrong_with_new_rows_and_with_any_total(
    store: Audit, database: str, change: str
) -> None:
    store.write([record("a")])
    assert store.unbalanced() == 0
    store.write([record("b"), record("c", consumer="bob")])
    sql(database, change)
    assert store.unbalanced() == 1


def test_the_watch_agrees_while_calls_are_written_and_pruned(store: Audit, database: str) -> None:
    for number in range(5):
        store.write([record(f"r{number}"), record(f"s{number}", consumer="bob"), record(f"f{number}", error_type="x")])
        assert store.unbalanced() == 0
    sql(database, "DELETE FROM calls WHERE request_id = 'r0'")
    assert store.unbalanced() == 0


def test_streams_count_like_any_call(store: Audit) -> None:
    wanted = streamed()
    store.write([record("s", **{name: getattr(wanted, name) for name in wanted.__slots__ if name != "request_id"})])
    assert everything(store.counters) == total([wanted])
    assert store.verify().balanced
