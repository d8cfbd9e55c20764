"""HTTP/2 frame by frame: streams of one connection, resets, windows and trailers are as without the plugin."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from support.collector import wait_for
from support.differential import settled, without_port
from support.http2 import Connection
from support.stage import Stage, theatre
from support.upstream import Script
from support.wire import Head, Wire

T = TypeVar("T")
PATIENCE = 30
RANDOM = os.urandom(200_000)
FLOOD = bytes(64 * 1024 * 1024)
"""More than the kernel's buffers hold."""
OK = b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
STREAM = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Upstream:
    """Plays the script that is on."""

    script: Script

    def __call__(self, wire: Wire, head: Head) -> None:
        self.script(wire, head)


upstream = Upstream()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with theatre(tmp_path_factory.mktemp("traefik")) as set_stage:
        yield set_stage(upstream)


def play(stage: Stage, script: Script, client: Callable[[Connection], T], **options: Any) -> T:
    """What the client gives back, the same on both routes."""
    upstream.script = script
    outcomes = []
    for url in (stage.traefik.url, stage.traefik.plain_url):
        with Connection(url, **options) as connection:
            outcomes.append(client(connection))
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


def test_a_stream_that_the_upstream_cuts_is_reset(stage: Stage) -> None:
    arrived = threading.Semaphore(0)

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM)
        wire.send_chunk(b"data: 1\n")
        assert arrived.acquire(timeout=PATIENCE)
        wire.close()

    def client(connection: Connection) -> list[Any]:
        stream = connection.ask("/cut", b"ping")
        seen = [connection.read(stream), connection.read(stream)]
        arrived.release()
        return [*seen, *connection.read_all(stream)]

    _, piece, reset = play(stage, script, client)
    assert piece == b"data: 1\n"
    assert isinstance(reset, int)


def test_a_stream_that_the_client_resets_takes_no_other_with_it(stage: Stage) -> None:
    gone = threading.Semaphore(0)

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM)
        wire.send_chunk(b"data: 1\n")
        if head.target == "/reset":
            wire.read_rest()
            gone.release()
            raise EOFError
        assert gone.acquire(timeout=PATIENCE)
        wire.send_chunk(b"data: 2\n")
        wire.send(b"0\r\n\r\n")

    def client(connection: Connection) -> list[Any]:
        whole, reset = connection.ask("/whole", b"ping"), connection.ask("/reset", b"ping")
        seen = [connection.read(whole), connection.read(whole), connection.read(reset), connection.read(reset)]
        connection.reset(reset)
        return [*seen, *connection.read_all(whole)]

    assert play(stage, script, client)[-2:] == [b"data: 2\n", None]
    report = next(iter(wait_for(lambda: [report for report in stage.collector.reports if report.path == "/reset"])))
    assert report.aborted == "client"


def test_a_client_that_resets_its_upload(stage: Stage) -> None:
    begun, gone = threading.Semaphore(0), threading.Semaphore(0)

    def script(wire: Wire, head: Head) -> None:
        if head.target == "/next":
            wire.send(OK + b"Content-Length: 4\r\n\r\nfine")
            return
        assert wire.read_chunk() == b"part"
        begun.release()
        wire.read_rest()
        gone.release()
        raise EOFError

    def client(connection: Connection) -> list[Any]:
        stream = connection.begin("/reset-upload")
        connection.send(stream, b"part")
        assert begun.acquire(timeout=PATIENCE)
        connection.reset(stream)
        assert gone.acquire(timeout=PATIENCE)
        return connection.read_all(connection.ask("/next", method="GET"))

    assert play(stage, script, client)[1:] == [b"fine", None]


def test_trailers_of_a_request(stage: Stage) -> None:
    got: list[bytes] = []

    def script(wire: Wire, head: Head) -> None:
        raw = without_port(head.raw)
        assert wire.read_chunk() == b"part"
        assert wire.read_chunk() == b""
        while (line := wire.read_until(b"\r\n")) != b"\r\n":
            raw += line
        got.append(raw)
        wire.send(OK + b"Content-Length: 4\r\n\r\nfine")

    def client(connection: Connection) -> list[Any]:
        stream = connection.begin("/trailers-up", headers=(("trailer", "x-sum"),))
        connection.send(stream, b"part")
        connection.end(stream, (("x-sum", "42"),))
        return connection.read_all(stream)

    assert play(stage, script, client)[1:] == [b"fine", None]
    assert got[0] == got[1]


def test_a_client_whose_window_is_small_gets_everything(stage: Stage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(OK + b"Content-Length: %d\r\n\r\n" % len(RANDOM) + RANDOM)

    seen = play(stage, script, lambda connection: connection.read_all(connection.ask("/w", b"ping")), window=1000)
    assert seen[1:] == [RANDOM, None]


def test_a_client_whose_window_is_shut_holds_the_upstream_up_and_no_other_stream(stage: Stage) -> None:
    held: list[int] = []

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        if head.target == "/small":
            wire.send(OK + b"Content-Length: 4\r\n\r\nfine")
            return
        held.append(0)
        wire.send(OK + b"Content-Length: %d\r\n\r\n" % len(FLOOD))
        rest = memoryview(FLOOD)
        while rest:
            count = wire.send_what_fits(rest)
            held[-1] += count
            rest = rest[count:]
            if not count:
                time.sleep(0.002)

    def client(connection: Connection) -> list[Any]:
        large = connection.ask("/large-one", b"ping")
        connection.read(large)
        sent = settled(lambda: held[-1])
        assert 0 < sent < len(FLOOD)
        small = connection.read_all(connection.ask("/small", b"ping"))
        body = connection.read_all(large)
        assert body == [FLOOD, None]
        return small

    assert play(stage, script, client)[1:] == [b"fine", None]


def test_fifty_streams_of_one_connection(stage: Stage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM)
        for number in range(5):
            time.sleep(0.01)
            wire.send_chunk(head.target.encode() + b" %d\n" % number)
        wire.send(b"0\r\n\r\n")

    def client(connection: Connection) -> list[Any]:
        streams = [connection.ask(f"/many/{number}", b"ping" * number) for number in range(50)]
        return [connection.read_all(stream) for stream in streams]

    for number, seen in enumerate(play(stage, script, client)):
        assert seen[1:] == [b"".join(b"/many/%d %d\n" % (number, piece) for piece in range(5)), None]
