"""Several collectors on one PostgreSQL database: each report and each reply is stored and counted once over all."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import reduce

import pytest

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.call import Record
from llmtoken.totals import NOTHING, Sums, plus
from support.databases import sql
from support.records import new, record

REPLICAS = 3


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
def replicas(database: str) -> Iterator[list[Audit]]:
    with ExitStack() as stack:
        yield [stack.enter_context(audit.open(database, instance=f"c{number}")) for number in range(REPLICAS)]


def together(replicas: Sequence[Audit], work: Callable[[Audit, random.Random], None]) -> None:
    """Every replica does the same, each in its own order, at the same time."""
    start, failures = threading.Barrier(len(replicas)), []

    def run(store: Audit, chance: random.Random) -> None:
        try:
            start.wait()
            work(store, chance)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall show it
            failures.append(error)

    threads = [
        threading.Thread(target=run, args=(store, random.Random(number)))  # noqa: S311
        for number, store in enumerate(replicas)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def counted(replicas: Sequence[Audit]) -> Sums:
    """What the replicas' counters add up to, as Prometheus adds them up."""
    return reduce(plus, (sums for store in replicas for sums in store.counters.values()), NOTHING)


def test_a_report_that_is_sent_to_all_at_once_is_stored_and_counted_once(replicas: list[Audit], database: str) -> None:
    told: list[bool] = []

    def send(store: Audit, chance: random.Random) -> None:
        numbers = list(range(300))
        chance.shuffle(numbers)
        for start in range(0, 300, 30):
            told.extend(new(store.write([record(f"r{number}") for number in numbers[start : start + 30]])))

    together(replicas, send)
    assert (told.count(True), len(told)) == (300, 300 * REPLICAS)
    assert sql(database, "SELECT count(*), sum(input_tokens) FROM calls") == [(300, 300 * 100)]
    assert (counted(replicas).calls, counted(replicas).input_tokens) == (300, 300 * 100)
    assert replicas[0].verify().differences == ()
    assert [store.unbalanced() for store in replicas] == [0] * REPLICAS


def test_a_reply_that_is_fetched_through_all_at_once_is_counted_once(replicas: list[Audit], database: str) -> None:
    def report(number: int, which: int) -> Record:
        fetched = {"fetched": True, "method": "GET"} if which else {}
        return record(f"reply-{number}-{which}", response_id=f"resp-{number}", **fetched)

    def send(store: Audit, chance: random.Random) -> None:
        reports = [report(number, which) for number in range(20) for which in range(4)]
        chance.shuffle(reports)
        while reports:
            store.write([reports.pop() for _ in range(min(len(reports), chance.randint(1, 8)))])

    together(replicas, send)
    assert sql(database, "SELECT count(*), sum(input_tokens) FROM calls") == [(80, 20 * 100)]
    assert (counted(replicas).calls, counted(replicas).input_tokens) == (80, 20 * 100)
    assert replicas[0].verify().differences == ()


def test_lessons_of_all_are_kept(replicas: list[Audit]) -> None:
    def learn(store: Audit, chance: random.Random) -> None:
        for _ in range(20):
            lessons = [("openai", f"m{number}", "input", ((number, number),)) for number in range(10)]
            chance.shuffle(lessons)
            store.keep(lessons)

    together(replicas, learn)
    assert len(replicas[0].lessons()) == 10
