"""The loss ledger over real HTTP: what plugins tell, and what it makes of the metrics."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmtoken.errors import StorageUnavailable
from llmtoken.metrics.ledger import GRACE
from support.clock import Clock
from support.collector import Collector, running

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
def books(tmp_path: Path) -> Iterator[Books]:
    clock = Clock()
    with running(tmp_path, clock=clock) as collector:
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


def test_a_collector_that_starts_later_does_not_miss_what_came_before(tmp_path: Path) -> None:
    clock = Clock()
    for first in (1, 100):
        with running(tmp_path, clock=clock) as collector:
            books = Books(collector, clock)
            books.send(first, told={"sequence": first, "dropped": 7})
            books.send(first + 2)
            clock.go_on(GRACE)
            assert books.missing() == (1, 0)
