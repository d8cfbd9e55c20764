"""Retention goes on in the background."""

from datetime import UTC, datetime, timedelta

import pytest

from llmtoken import audit
from llmtoken.audit import Audit, Pruner, Rules
from support.collector import wait_for
from support.databases import only_sqlite
from support.records import record

RULES = Rules(calls=timedelta(days=30))
LONG_AGO = datetime.now(UTC) - timedelta(days=40)


def test_it_deletes_at_once_and_again_and_again(store: Audit) -> None:
    store.write([record("a", started_at=LONG_AGO)])
    pruner = Pruner(store, RULES, interval=0.02)
    pruner.start()
    wait_for(lambda: store.count() == 0)
    store.write([record("b", started_at=LONG_AGO)])
    wait_for(lambda: store.count() == 0)
    pruner.stop()
    assert store.verify().balanced


def test_without_rules_there_is_no_thread(store: Audit) -> None:
    pruner = Pruner(store, Rules())
    pruner.start()
    assert not pruner._thread.is_alive()
    pruner.stop()


def test_it_stops_between_two_batches(store: Audit) -> None:
    store.write([record(f"r{n}", started_at=LONG_AGO) for n in range(3000)])
    pruner = Pruner(store, RULES)
    pruner.start()
    wait_for(lambda: store.count() < 3000)
    pruner.stop()
    assert store.verify().balanced


def test_what_cannot_be_deleted_now_is_deleted_later(database: str, caplog: pytest.LogCaptureFixture) -> None:
    store = audit.open(database)
    pruner = Pruner(store, RULES, interval=0.02)
    store.close()
    pruner.start()
    wait_for(lambda: "Old calls are deleted later: The audit is closed" in caplog.text)
    assert pruner._thread.is_alive()
    pruner.stop()


@only_sqlite
def test_more_than_may_be_deleted_is_said_once(store: Audit, caplog: pytest.LogCaptureFixture) -> None:
    store.write([record("young", started_at=datetime.now(UTC))])
    pruner = Pruner(store, Rules(bytes=1), interval=0.01)
    pruner.start()
    wait_for(lambda: "holds more than retain_bytes" in caplog.text)
    runs = len(pruner._warned)
    pruner.stop()
    assert (runs, caplog.text.count("holds more than retain_bytes")) == (1, 1)
