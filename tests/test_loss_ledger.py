"""The loss ledger over real HTTP: what plugins tell, and what it makes of the metrics."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmtoken.errors import StorageUnavailable
from llmtoken.ledger import GRACE
from support.clock import Clock
from support.collector import Collector, running
from support.databases import locked, only_postgresql

NOTHING = {"status": "ok", "accepted": 0, "duplicates": 0, "rejected": []}


class Books:
    """A collector with a clock of its own, and what its metrics say of plugins."""

    def __init__(self, collector: Collector, clock: Clock) -> None:
        self.collector, self.clock = collector, clock

    def send(self, *sequences: int, told: Any = None, boot: str = "a", **source: Any) -> httpx.Response:
        """A batch as the plugin sends it: `told` is its ledger, in the header."""
        lines = [
            {
                "request_body": "{}",
                "response_body": "{}",
                "elapsed_time": 1,
                "request_id": f"{boot}-{sequence}",
                "source": {"boot": boot, "sequence": sequence, **source},
            }
            for sequence in sequences
        ]
        return self.collector.lines(*lines, **self.header(told))

    def header(self, told: Any) -> dict[str, str]:
        if told is None:
            return {}
        return {"Llmtoken-Source": told if isinstance(told, str) else json.dumps({"boot": "a", **told})}

    def lost(self, kind: str, **labels: str) -> float:
        return self.collector.sample(f"llmtoken_plugin_{kind}_total", **labels)

    def missing(self) -> tuple[float, float]:
        """What was found missing, and what of it turned up."""
        return self.lost("missing_reports"), self.lost("late_reports")


@pytest.fixture
def books(tmp_path: Path, database: str) -> Iterator[Books]:
    clock = Clock()
    with running(tmp_path, clock=clock, database=database) as collector:
        yield Books(collector, clock)


# ── Lost ────────────────────────────────────────────────────────────────────────────────


def test_losses_are_counted_by_reason(books: Books) -> None:
    books.send(1, dropped=3, dropped_by={"queue_full": 2, "sunspots": 1}, failed=2, failed_by={"rejected": 1})
    assert books.lost("dropped", reason="queue_full") == 2
    assert books.lost("dropped", reason="other") == 1
    assert books.lost("failed", reason="rejected") == 1
    assert books.lost("failed", reason="unknown") == 1
    assert (books.lost("dropped"), books.lost("failed")) == (3, 2)


def test_the_header_tells_what_happened_since_its_reports_were_made(books: Books) -> None:
    books.send(1, told={"sequence": 3, "dropped": 2, "dropped_by": {"queue_full": 2}})
    assert books.lost("dropped", reason="queue_full") == 2


def test_a_ledger_may_come_alone(books: Books) -> None:
    answer = books.send(told={"sequence": 5, "failed": 2, "failed_by": {"refused": 2}})
    assert (answer.status_code, answer.json()) == (200, NOTHING)
    assert books.lost("failed", reason="refused") == 2
    assert books.collector.sample("llmtoken_reports_total") == 0


def test_an_empty_batch_without_a_ledger_is_refused(books: Books) -> None:
    assert books.send().status_code == 400


@pytest.mark.parametrize("broken", ["oops", "{}oops", '{"sequence": -1}', '{"dropped": "many"}', "x" * 9000, "\xff"])
def test_a_header_that_cannot_be_read_costs_no_report_and_is_counted(
    books: Books, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"request_body": "{}", "response_body": "{}", "elapsed_time": 1})
    headers = {"content-type": "application/x-ndjson", "Llmtoken-Source": broken.encode("latin-1")}
    answer = books.collector.client.post("/api/report", content=body, headers=headers)
    assert answer.json() == {**NOTHING, "accepted": 1}
    assert books.collector.sample("llmtoken_parse_failures_total", llmtoken_parse_problem="ledger") == 1
    assert "Llmtoken-Source" in caplog.text


def test_a_header_that_cannot_be_read_does_not_make_an_empty_batch_good(books: Books) -> None:
    assert books.send(told="oops").status_code == 400


def test_lines_that_are_refused_are_refused_with_a_ledger_too(books: Books) -> None:
    answer = books.collector.lines(b"oops", **books.header({"sequence": 1, "failed": 1}))
    assert (answer.status_code, len(answer.json()["rejected"])) == (400, 1)
    assert books.lost("failed") == 1


def test_a_single_report_may_bring_a_ledger(books: Books) -> None:
    report = {"request_body": "{}", "response_body": "{}", "elapsed_time": 1}
    books.collector.report(report, **books.header({"sequence": 1, "dropped": 4}))
    assert books.lost("dropped") == 4


def test_a_batch_that_is_not_stored_tells_nothing_until_it_comes_again(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageUnavailable("The disk is full", hint="make room")

    told = {"sequence": 4, "dropped": 2}
    with monkeypatch.context() as patch:
        patch.setattr("llmtoken.audit.Audit.write", refuse)
        assert books.send(1, 2, told=told).status_code == 503
        books.clock.go_on(GRACE)
        assert (books.lost("dropped"), books.missing()) == (0, (0, 0))
    for _ in range(2):
        assert books.send(1, 2, told=told).status_code == 200
    assert books.lost("dropped") == 2


# ── Missing ─────────────────────────────────────────────────────────────────────────────


def test_what_neither_arrives_nor_is_accounted_for_is_missing_after_the_grace_time(books: Books) -> None:
    books.send(1, 2, 6, told={"sequence": 8, "dropped": 1})
    assert books.missing() == (0, 0)
    books.clock.go_on(GRACE)
    assert books.missing() == (4, 0), "3, 4, 5, 7 and 8 did not come, and one of them was dropped"


def test_a_spool_that_is_delivered_hours_later_closes_the_gap(books: Books) -> None:
    books.send(1, told={"sequence": 4})
    books.clock.go_on(7200)
    assert books.missing() == (3, 0)
    books.send(3, 2, told={"boot": "the next process", "sequence": 1})
    assert books.missing() == (3, 2)


def test_order_and_repetition_make_nothing_missing(books: Books) -> None:
    for batch in ((1, 2), (5, 6), (3,), (5, 6), (4, 4), (3,)):
        books.send(*batch)
    books.clock.go_on(GRACE)
    assert books.missing() == (0, 0)


def test_lines_that_were_refused_are_missing_until_the_plugin_counts_them_as_failed(books: Books) -> None:
    books.send(1)
    books.collector.lines(b"this was number 2", **books.header({"sequence": 2}))
    books.send(told={"sequence": 2, "failed": 1, "failed_by": {"rejected": 1}})
    books.clock.go_on(GRACE)
    assert books.missing() == (0, 0)


# ── Restarts ────────────────────────────────────────────────────────────────────────────


class Lives:
    """A collector that ends and starts again on the same database, at the times that a test says."""

    def __init__(self, folder: Path, database: str) -> None:
        self.clock = Clock()
        self._folder, self._database = folder, database

    def __call__(self, instance: str = "") -> AbstractContextManager[Books]:
        return self._books(instance)

    @contextmanager
    def _books(self, instance: str) -> Iterator[Books]:
        with running(self._folder, clock=self.clock, database=self._database, instance=instance) as collector:
            yield Books(collector, self.clock)


@pytest.fixture
def life(tmp_path: Path, database: str) -> Lives:
    return Lives(tmp_path, database)


def test_a_restart_between_gap_and_arrival_forgets_nothing(life: Lives) -> None:
    with life() as books:
        books.send(1, 5, dropped=1)
        life.clock.go_on(GRACE)
        assert books.missing() == (2, 0)
    with life() as books:
        assert (books.missing(), books.lost("dropped")) == ((2, 0), 1)
        books.send(3, dropped=1)
        life.clock.go_on(GRACE)
        assert (books.missing(), books.lost("dropped")) == ((2, 1), 1)


def test_what_vanished_around_a_restart_is_missing(life: Lives) -> None:
    with life() as books:
        books.send(1, 2)
    with life() as books:
        books.send(6, told={"sequence": 6})
        life.clock.go_on(GRACE)
        assert books.missing() == (3, 0)


def test_losses_that_were_counted_before_a_restart_are_not_counted_again(life: Lives) -> None:
    for _ in range(2):
        with life() as books:
            books.send(told={"sequence": 9, "dropped": 4, "failed": 2})
            assert (books.lost("dropped"), books.lost("failed")) == (4, 2)


def test_what_could_not_be_offered_while_no_collector_ran_is_not_missing(life: Lives) -> None:
    with life() as books:
        books.send(1, told={"sequence": 4})
    life.clock.go_on(10 * GRACE)
    with life() as books:
        assert books.missing() == (0, 0)
        life.clock.go_on(GRACE - 1)
        books.send(2, 3)
        assert books.missing() == (0, 0)
        books.send(5, told={"sequence": 5})
        life.clock.go_on(1)
        assert books.missing() == (1, 0)


def test_a_database_that_refused_for_long_makes_nothing_missing(books: Books, database: str) -> None:
    books.send(1, told={"sequence": 3})
    with locked(database):
        assert books.send(2).status_code == 503
        books.clock.go_on(10 * GRACE)
        assert books.missing() == (0, 0)
    books.send(2, 3)
    books.clock.go_on(2 * GRACE)
    assert books.missing() == (0, 0)


def test_a_boot_that_is_first_heard_of_when_it_is_old_is_followed_from_there(books: Books) -> None:
    books.send(100, told={"sequence": 100, "dropped": 7})
    books.send(102)
    books.clock.go_on(GRACE)
    assert books.missing() == (1, 0)


# ── Replicas ────────────────────────────────────────────────────────────────────────────


@only_postgresql
def test_replicas_behind_one_load_balancer_miss_nothing_of_what_the_other_has(life: Lives) -> None:
    with life("one") as one, life("two") as two:
        for number in range(1, 41):
            (one if number % 2 else two).send(number, told={"sequence": number + 1})
        life.clock.go_on(GRACE)
        assert (one.missing(), two.missing()) == ((1, 0), (0, 0)), "number 41 was given out"
        two.send(41)
        assert two.missing() == (0, 1)


@only_postgresql
def test_of_a_plugin_that_was_killed_exactly_its_numbers_are_missing_once_over_all(life: Lives) -> None:
    with life("one") as one, life("two") as two, life("three") as three:
        replicas = (one, two, three)
        for start in range(1, 61, 4):
            replicas[start % 3].send(*range(start, start + 4), boot="killed")
        two.send(told={"boot": "killed", "sequence": 67, "dropped": 2, "dropped_by": {"queue_full": 2}})
        for number in range(1, 20):
            replicas[number % 3].send(number, boot="lives")
        life.clock.go_on(GRACE)
        with ThreadPoolExecutor() as pool:
            for _ in range(3):
                found = list(pool.map(Books.missing, replicas))
                life.clock.go_on(GRACE)
        assert [sum(each) for each in zip(*found, strict=True)] == [5, 0]
        assert sum(each.lost("dropped", reason="queue_full") for each in replicas) == 2
