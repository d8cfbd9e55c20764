"""What is known of plugins is committed with the reports it came with, and shared by all collectors."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from llmtoken import audit
from llmtoken.audit import Audit, boots
from llmtoken.errors import StorageUnavailable
from llmtoken.ledger import GRACE
from llmtoken.report import Source
from support.clock import Clock
from support.databases import locked, only_postgresql, sql
from support.records import record


def tell(store: Audit, *sequences: int, boot: str = "a", current: Source | None = None, **losses: int) -> None:
    store.write([], told=[([Source(boot=boot, sequence=number, **losses) for number in sequences], current)])


def found(store: Audit) -> dict[str, int]:
    """What was found, by kind."""
    sums: dict[str, int] = {}
    for (kind, _), count in store.losses.items():
        sums[kind] = sums.get(kind, 0) + count
    return sums


def test_what_is_told_is_there_again_after_opening(database: str) -> None:
    clock = Clock()
    with audit.open(database, clock=clock) as store:
        tell(store, 1, 4, dropped=1, failed=3)
        assert found(store) == {"dropped": 1, "failed": 3}
    with audit.open(database, clock=clock) as store:
        assert found(store) == {"dropped": 1, "failed": 3}
        tell(store, 5, dropped=2, failed=3)
        assert found(store) == {"dropped": 2, "failed": 3}


def test_what_was_not_committed_was_not_told(store: Audit, database: str) -> None:
    told = [([Source(boot="a", sequence=1, dropped=2)], None)]
    with locked(database), pytest.raises(StorageUnavailable):
        store.write([record("a")], told=told)
    assert found(store) == {}
    store.write([record("a")], told=told)
    assert found(store) == {"dropped": 2}


def test_a_gap_is_found_once_it_is_old_enough_without_any_news(database: str) -> None:
    clock = Clock()
    with audit.open(database, clock=clock) as store:
        tell(store, 1, 3)
        store.settle()
        clock.go_on(GRACE)
        assert found(store) == {}
        store.settle()
        assert found(store) == {"missing": 1}
        clock.go_on(GRACE)
        store.settle()
        assert found(store) == {"missing": 1}


def test_a_plugin_without_gaps_is_never_looked_at(store: Audit, database: str) -> None:
    tell(store, 1, 2, 3)
    assert sql(database, "SELECT boot, due_at FROM plugin_boots") == [("a", None)]


def test_any_text_may_name_a_boot(store: Audit) -> None:
    for number, odd in enumerate(("nul \0", "half \ud800", "é" * 300, "nul \ufffd")):
        tell(store, number + 1, boot=odd, current=Source(boot=odd, sequence=number + 1))
    assert found(store) == {}


def test_the_boots_unheard_of_for_longest_are_forgotten_and_what_they_lost_stays(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boots, "_FORGOTTEN", boots._FORGOTTEN.offset(5))
    clock = Clock()
    with audit.open(database, clock=clock) as store:
        for name in "abcde":
            tell(store, 1, boot=name, dropped=1)
            clock.go_on(1)
        tell(store, 2, boot="a", dropped=1)
        clock.go_on(1)
        tell(store, 1, boot="f", dropped=1)
        assert {row[0] for row in sql(database, "SELECT boot FROM plugin_boots")} == set("acdef")
        assert found(store) == {"dropped": 6}
        tell(store, 3, boot="a", dropped=1)
        tell(store, 3, boot="b", dropped=1)
        assert found(store) == {"dropped": 7}, "one that comes back is new"


def test_each_collector_has_losses_of_its_own(database: str) -> None:
    for instance, losses in (("one", 1), ("two", 3)):
        with audit.open(database, instance=instance) as store:
            tell(store, losses, dropped=losses)
    for instance, losses in (("one", 1), ("two", 2)):
        with audit.open(database, instance=instance) as store:
            assert found(store) == {"dropped": losses}


@only_postgresql
def test_replicas_that_hear_of_the_same_plugins_at_once_count_each_loss_once(database: str) -> None:
    failures: list[Exception] = []
    with ExitStack() as stack:
        stores = [stack.enter_context(audit.open(database, instance=f"c{number}")) for number in range(3)]

        def hear(store: Audit, start: int) -> None:
            try:
                for number in range(1 + start, 61, 3):
                    names = "abcd"[:: 1 if number % 2 else -1]
                    told = [([Source(boot=name, sequence=number, dropped=number)], None) for name in names]
                    store.write([record(f"r{number}")], told=told)
            except StorageUnavailable as error:
                failures.append(error)

        threads = [threading.Thread(target=hear, args=(store, start)) for start, store in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert sum(found(store).get("dropped", 0) for store in stores) == 4 * 60
