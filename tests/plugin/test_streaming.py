"""Whatever a stream is made of, nothing of it waits in real Traefik with the plugin: each step is only made
by one side when the other has seen the step before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from support.collector import wait_for
from support.stage import SetStage, Stage, request
from support.wire import Head, Wire

PATIENCE = 30
CHUNKED = "Transfer-Encoding: chunked"
TYPES = ("text/event-stream", "application/json", "application/x-ndjson", "application/vnd.amazon.eventstream")
PIECES = [b'{"piece": %d}\n' % number for number in range(4)]


def head_of(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


class Paced:
    """An upstream's script that sends the head and each piece only when the client has seen what came before."""

    def __init__(self, *lines: str) -> None:
        self._head = head_of(*lines)
        self._chunked = CHUNKED in lines
        self._seen = threading.Semaphore(0)

    def __call__(self, wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(self._head)
        for piece in PIECES:
            assert self._seen.acquire(timeout=PATIENCE)
            (wire.send_chunk if self._chunked else wire.send)(piece)
        assert self._seen.acquire(timeout=PATIENCE)
        if self._chunked:
            wire.send_chunk(b"")
        else:
            wire.close()

    def go_on(self) -> None:
        self._seen.release()


@pytest.mark.parametrize(
    "lines",
    [*((CHUNKED, f"Content-Type: {kind}") for kind in TYPES), ("Connection: close", "Content-Type: application/json")],
    ids=[*TYPES, "until the connection ends"],
)
def test_each_piece_arrives_before_the_next_is_sent(set_stage: SetStage, lines: tuple[str, ...]) -> None:
    script = Paced(*lines)
    stage = set_stage(script)
    wire = stage.post()
    assert wire.read_head().status == 200  # before any of the body
    for piece in PIECES:
        script.go_on()
        assert wire.read_chunk() == piece
    script.go_on()
    assert wire.read_chunk() == b""

    (report,) = stage.collector.wait_for(1)
    assert (report.response_content(), report.aborted) == (b"".join(PIECES), "")
    passed = [len(b"".join(PIECES[: number + 1])) for number in range(len(PIECES))]
    assert [written for written, _ in report.timeline] == passed


def test_early_hints_arrive_before_the_reply_begins(set_stage: SetStage) -> None:
    seen = threading.Event()

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        assert seen.wait(PATIENCE)
        wire.send(head_of("Content-Length: 0"))

    wire = set_stage(script).post()
    assert wire.read_head().status == 103
    seen.set()
    assert wire.read_head().status == 200


def test_each_piece_of_an_upload_arrives_before_the_next_is_sent(set_stage: SetStage) -> None:
    arrived = threading.Semaphore(0)

    def script(wire: Wire, _head: Head) -> None:
        for piece in PIECES:
            assert wire.read_chunk() == piece
            arrived.release()
        assert wire.read_chunk() == b""
        wire.read_until(b"\r\n")
        wire.send(head_of("Content-Length: 0"))

    stage = set_stage(script)
    wire = stage.connect()
    wire.send(request("POST", "/v1/audio/transcriptions", CHUNKED))
    for piece in PIECES:
        wire.send_chunk(piece)
        assert arrived.acquire(timeout=PATIENCE)
    wire.send_chunk(b"")
    assert wire.read_head().status == 200
    (report,) = stage.collector.wait_for(1)
    assert (report.request_content(), report.request_truncated) == (b"".join(PIECES), False)


# ── WebSockets, with a real client and a real server ────────────────────────────────────


@contextmanager
def echo() -> Iterator[str]:
    """A WebSocket server that greets, then answers each message."""

    def speak(connection: ServerConnection) -> None:
        connection.send("hello")
        for message in connection:
            connection.send(message)

    with serve(speak, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_websocket_speaks_both_ways_and_is_reported_without_what_was_said(set_stage: SetStage) -> None:
    with echo() as server:
        stage: Stage = set_stage(
            dynamic={"http": {"services": {"upstream": {"loadBalancer": {"servers": [{"url": server}]}}}}}
        )
        with connect(stage.traefik.url.replace("http", "ws") + "/v1/realtime?model=m", proxy=None) as socket:
            assert socket.recv(PATIENCE) == "hello"
            for message in ("text", b"\x00bytes", "x" * 100_000):
                socket.send(message)
                assert socket.recv(PATIENCE) == message
            assert not stage.collector.reports
        (report,) = wait_for(lambda: stage.collector.reports)
        assert (report.path, report.query, report.aborted) == ("/v1/realtime", "model=m", "")
        assert (report.status, report.response_bytes, report.response_body) == (None, None, "")
