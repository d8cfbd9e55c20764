"""Reports reach the collector from real Traefik, whatever state it is in, and the traffic never waits for them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest

from llmtoken.report import Report, Source
from support.collector import wait_for
from support.recorder import Answer, Batch, Recorder
from support.stage import SMALL, SetStage, Stage, request
from support.upstream import upstream
from support.wire import Head, Wire

PATIENCE = 30
MEBIBYTE = 1024 * 1024


def ask(stage: Stage, count: int, body: bytes = b"{}") -> None:
    """Make so many calls, one after the other, and see each answered in full."""
    wire = stage.connect()
    for _ in range(count):
        wire.send(request("POST", "/v1/chat/completions", f"Content-Length: {len(body)}") + body)
        assert wire.read_body(wire.read_head()) == SMALL
    wire.close()


def sources(reports: Sequence[Report]) -> list[Source]:
    """The loss ledgers of the reports, by their place in the sender's life."""
    return sorted((report.source for report in reports if report.source), key=lambda source: source.sequence)


def sequences(reports: Sequence[Report]) -> list[int]:
    return [source.sequence for source in sources(reports)]


def port(url: str) -> int:
    return urlsplit(url).port or 0


class Gate:
    """A collector's behaviour: holds every batch until it is opened, and then answers."""

    def __init__(self, then: Answer | None = None, otherwise: type[Exception] | None = None) -> None:
        self._open = threading.Event()
        self._first = otherwise
        self._then = then or Answer()

    def __call__(self, _batch: Batch) -> Answer:
        assert self._open.wait(PATIENCE)
        if self._first:
            problem, self._first = self._first, None
            raise problem
        return self._then

    def open(self) -> None:
        self._open.set()


# ── The collector is away ───────────────────────────────────────────────────────────────


def test_reports_wait_while_the_collector_is_down_and_then_arrive_once(set_stage: SetStage) -> None:
    with Recorder() as gone:
        pass
    stage = set_stage(collector=gone)
    ask(stage, 20)
    stage.traefik.wait_for_log("doesn't answer")

    with Recorder(port=port(gone.url)) as back:
        assert sequences(back.wait_for(20)) == list(range(1, 21))
        assert sequences([report for batch in back.batches for report in batch.reports()]) == list(range(1, 21))


def test_traffic_goes_on_while_the_collector_hangs_and_what_does_not_fit_the_queue_is_counted(
    set_stage: SetStage,
) -> None:
    hanging = Gate(otherwise=ConnectionError)
    with Recorder(hanging) as collector:
        stage = set_stage(collector=collector, queueSize=10, timeout="1m")
        ask(stage, 50)
        assert not collector.reports
        hanging.open()
        assert sequences(collector.wait_for(10)) == list(range(1, 11))

        # There is room again when the plugin has read the answer, a moment after the collector sent it.
        wait_for(lambda: ask(stage, 1) or len(collector.reports) > 10)
        next_one = sources(collector.reports)[10]
        assert next_one.dropped >= 40
        assert (next_one.sequence - next_one.dropped, next_one.failed) == (11, 0)


def test_memory_stays_bounded_while_the_collector_hangs(set_stage: SetStage) -> None:
    hanging = Gate(otherwise=ConnectionError)
    with Recorder(hanging) as collector:
        stage = set_stage(
            collector=collector, timeout="1m", maxResponseBody=65536, maxRequestBody=MEBIBYTE, queueBytes=8 * MEBIBYTE
        )
        before = stage.traefik.memory()
        ask(stage, 300, b"x" * MEBIBYTE)
        assert stage.traefik.memory() - before < 150 * MEBIBYTE
        hanging.open()

        ask(stage, 1)
        wait_for(lambda: 301 in sequences(collector.reports))
        delivered = sources(collector.reports)
        assert len(delivered) + delivered[-1].dropped == 301
        assert 3 <= len(delivered) <= 10


def test_a_collector_that_never_answers_is_asked_again(set_stage: SetStage) -> None:
    answers: list[Answer | None] = [None, Answer()]
    with Recorder(lambda _batch: answers.pop(0)) as collector:
        stage = set_stage(collector=collector, timeout="50ms")
        ask(stage, 1)
        collector.wait_for(1)
        first, second = collector.batches
        assert first.body == second.body


def test_a_report_whose_acknowledgement_is_lost_comes_again_under_the_same_id(set_stage: SetStage) -> None:
    cut = Gate(otherwise=ConnectionError)
    cut.open()
    with Recorder(cut) as collector:
        stage = set_stage(collector=collector)
        ask(stage, 1)
        collector.wait_for(1)
        first, second = (batch.reports()[0].request_id for batch in collector.batches)
        assert first == second


# ── The collector says no ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [429, 503])
def test_the_collector_may_say_when_to_come_again(set_stage: SetStage, status: int) -> None:
    answers = [Answer(status, {"Retry-After": "1"}), Answer()]
    came: list[float] = []

    def busy_at_first(_batch: Batch) -> Answer:
        came.append(time.monotonic())
        return answers.pop(0)

    with Recorder(busy_at_first) as collector:
        stage = set_stage(collector=collector)
        ask(stage, 1)
        collector.wait_for(1)
        assert came[1] - came[0] >= 1
        assert collector.batches[0].body == collector.batches[1].body


def test_a_batch_that_is_too_large_for_the_collector_is_split_until_it_fits(set_stage: SetStage) -> None:
    hold = threading.Event()

    def narrow(batch: Batch) -> Answer:
        assert hold.wait(PATIENCE)
        return Answer(413 if len(batch.reports()) > 2 else 200)

    with Recorder(narrow) as collector:
        stage = set_stage(collector=collector)
        ask(stage, 1)
        collector.wait_for_batches(1)  # the rest gathers behind this one
        ask(stage, 8)
        hold.set()
        assert sequences(collector.wait_for(9)) == list(range(1, 10))
        assert [len(batch.reports()) for batch in collector.batches] == [1, 8, 4, 2, 2, 4, 2, 2]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_report_that_the_collector_will_never_take_is_counted_as_failed(set_stage: SetStage, status: int) -> None:
    with Recorder(lambda batch: Answer(status if b"monster" in batch.body else 200)) as collector:
        stage = set_stage(collector=collector)
        ask(stage, 1, b"monster")
        collector.wait_for_batches(1)
        ask(stage, 1)
        (source,) = sources(collector.wait_for(1))
        assert (source.sequence, source.failed, source.dropped) == (2, 1, 0)
        assert str(status) in stage.traefik.wait_for_log("reports are lost")


def test_a_rejected_line_is_counted_as_failed_and_the_reason_is_logged(set_stage: SetStage) -> None:
    answers = [Answer(body=b'{"rejected":[{"line":0,"error":"the moon is full"}]}'), Answer()]
    with Recorder(lambda _batch: answers.pop(0)) as collector:
        stage = set_stage(collector=collector)
        ask(stage, 1)
        stage.traefik.wait_for_log("the moon is full")
        ask(stage, 1)
        assert [source.failed for source in sources(collector.wait_for(2))] == [0, 1]


@pytest.mark.parametrize("status", [302, 401])
def test_a_collector_that_turns_the_plugin_away_is_asked_on_with_growing_pauses_and_one_complaint(
    set_stage: SetStage, status: int
) -> None:
    came: list[float] = []

    def closed(_batch: Batch) -> Answer:
        came.append(time.monotonic())
        return Answer(status if len(came) < 4 else 200, {"Location": "http://127.0.0.1:1/"})

    with Recorder(closed) as collector:
        stage = set_stage(collector=collector)
        ask(stage, 1)
        collector.wait_for(1)
        pauses = [later - earlier for earlier, later in itertools.pairwise(came)]
        assert all(pause >= 0.1 * 2**number for number, pause in enumerate(pauses))
        complaints = [line for line in stage.traefik.log.splitlines() if f"answered {status}" in line]
        assert len(complaints) == 1, complaints


def test_something_else_at_the_collectors_address_loses_no_report(set_stage: SetStage) -> None:
    def babble(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"\x00\xffnot HTTP at all\r\n\r\n")
        wire.close()

    with upstream(babble) as url:
        stage = set_stage(apiurl=f"{url}/api/report")
        ask(stage, 3)
        stage.traefik.wait_for_log("reports wait")
    with Recorder(port=port(url)) as collector:
        assert sequences(collector.wait_for(3)) == [1, 2, 3]


# ── Batches ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [({"batchSize": 3}, [1, 3, 3, 2]), ({"batchBytes": 3000}, [1, 3, 3, 2])],
    ids=["reports", "bytes"],
)
def test_a_batch_keeps_within_its_bounds(set_stage: SetStage, settings: dict[str, int], sizes: list[int]) -> None:
    gate = Gate()
    with Recorder(gate) as collector:
        stage = set_stage(collector=collector, timeout="1m", **settings)
        ask(stage, 1)
        collector.wait_for_batches(1)  # the rest gathers behind this one
        ask(stage, 8, b"x" * 300)
        gate.open()
        collector.wait_for(9)
        assert [len(batch.reports()) for batch in collector.batches] == sizes


def test_routes_that_report_to_the_same_collector_share_one_sender(set_stage: SetStage) -> None:
    with Recorder() as collector:
        shipping = {"apiurl": collector.url, "flushInterval": "10ms"}
        other = {
            "rule": "Host(`other.example`)",
            "entryPoints": ["tapped"],
            "middlewares": ["two"],
            "service": "upstream",
        }
        middlewares = {"two": {"plugin": {"llmtoken": {**shipping, "labels": {"route": "two"}}}}}
        stage = set_stage(
            collector=collector, dynamic={"http": {"routers": {"other": other}, "middlewares": middlewares}}
        )
        ask(stage, 1)
        wire = stage.connect()
        wire.send(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
        wire.read_head()
        reports = collector.wait_for(2)
        assert len({source.boot for source in sources(reports)}) == 1
        assert sequences(reports) == [1, 2]
        assert {report.middleware for report in reports} == {"tap@file", "two@file"}


# ── Traefik changes and ends ────────────────────────────────────────────────────────────


class Story:
    """An upstream's script: the path /stream sends a second chunk when told so; others get a small reply."""

    def __init__(self) -> None:
        self._go = threading.Event()

    def __call__(self, wire: Wire, head: Head) -> None:
        wire.read_body(head)
        if head.target != "/stream":
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL))
            return
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.send_chunk(b"data: 1\n\n")
        assert self._go.wait(PATIENCE)
        wire.send_chunk(b"data: 2\n\n")
        wire.send(b"0\r\n\r\n")

    def go_on(self) -> None:
        self._go.set()


def begin_stream(stage: Stage) -> Wire:
    wire = stage.post(path="/stream")
    wire.read_head()
    assert wire.read_chunk() == b"data: 1\n\n"
    return wire


def test_a_stream_and_the_sender_outlive_a_change_of_the_configuration(set_stage: SetStage) -> None:
    story = Story()
    stage = set_stage(story)
    ask(stage, 1)
    wire = begin_stream(stage)
    new = {"rule": "Host(`new.example`)", "entryPoints": ["tapped"], "middlewares": ["tap"], "service": "upstream"}
    stage.traefik.configure(dynamic={"http": {"routers": {"new": new}}})
    story.go_on()
    assert wire.read_chunk() == b"data: 2\n\n"
    assert wire.read_chunk() == b""
    ask(stage, 1)

    reports = stage.collector.wait_for(3)
    assert len({source.boot for source in sources(reports)}) == 1
    assert sequences(reports) == [1, 2, 3]
    assert [(report.response_body, report.aborted) for report in reports if report.path == "/stream"] == [
        ("data: 1\n\ndata: 2\n\n", "")
    ]


def test_a_stream_is_reported_to_the_collector_it_began_under(set_stage: SetStage) -> None:
    story = Story()
    stage = set_stage(story)
    wire = begin_stream(stage)
    with Recorder() as new:
        stage.traefik.configure(middleware={"apiurl": new.url, "flushInterval": "10ms"})
        story.go_on()
        ask(stage, 1)
        assert wire.read_chunk() == b"data: 2\n\n"
        assert [report.path for report in stage.collector.wait_for(1)] == ["/stream"]
        assert [report.path for report in new.wait_for(1)] == ["/v1/chat/completions"]


LINGER = {"entryPoints": {"traefik": {"transport": {"lifeCycle": {"requestAcceptGraceTimeout": "2s"}}}}}
"""As traefik/traefik.yml has it: Traefik ends with its last entry point, and one that nobody uses ends at once."""


def test_every_finished_call_is_delivered_when_traefik_is_told_to_stop(set_stage: SetStage) -> None:
    stage = set_stage(static=LINGER, flushInterval="1m")
    ask(stage, 20)
    assert not stage.collector.batches
    assert stage.traefik.terminate() == 0
    assert sequences(stage.collector.reports) == list(range(1, 21))


def test_a_call_that_ends_after_traefik_was_told_to_stop_is_delivered(set_stage: SetStage) -> None:
    story = Story()
    stage = set_stage(story, static=LINGER, flushInterval="1m")
    wire = begin_stream(stage)
    ended = threading.Thread(target=stage.traefik.terminate)
    ended.start()
    stage.traefik.wait_for_log("I have to go")
    story.go_on()
    assert wire.read_chunk() == b"data: 2\n\n"
    ended.join()
    assert [report.response_body for report in stage.collector.reports] == ["data: 1\n\ndata: 2\n\n"]
