"""Clients that speak HTTP/2, over TLS and without: they and the upstream see what they see without the plugin."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from support.collector import wait_for
from support.curl import H2C, TLS, Got, Transfer, fetch
from support.differential import settled, without_port
from support.http2 import Connection
from support.stage import Stage, theatre
from support.traefik import free_ports
from support.upstream import Script
from support.wire import Head, Wire

T = TypeVar("T")
PATIENCE = 30
RANDOM = os.urandom(200_000)
LARGE = os.urandom(20 * 1024 * 1024)
FLOOD = bytes(64 * 1024 * 1024)
"""More than the kernel's buffers hold."""
DATE = b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + DATE
STREAM = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

ANSWERS = {
    "length": OK + b"Content-Length: %d\r\n\r\n" % len(RANDOM) + RANDOM,
    "chunks": STREAM + b"2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
    "large": OK + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE,
    "large-chunks": STREAM + b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE),
    "empty": OK + b"Content-Length: 0\r\n\r\n",
    "trailers": OK + b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\nX-Sum: 42\r\n\r\n",
    "trailers-unannounced": STREAM + b"4\r\nfine\r\n0\r\nX-Sum: 42\r\n\r\n",
    "trailers-alone": OK + b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 42\r\n\r\n",
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"Content-Length: 4\r\n\r\nfine",
    "204": b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n",
    "304": b'HTTP/1.1 304 Not Modified\r\nEtag: "1"\r\n' + DATE + b"\r\n",
    "error": b"HTTP/1.1 503 Busy\r\n" + DATE + b"Content-Length: 4\r\n\r\nbusy",
    "headers": OK
    + b"X-Large: "
    + b"x" * 65536
    + b"\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 4\r\n\r\nfine",
}


class Upstream:
    """Answers what the path names; a path that it does not know is a script that the test gives."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.script: Script | None = None

    def __call__(self, wire: Wire, head: Head) -> None:
        name = head.target.rpartition("/")[2]
        if name not in ANSWERS:
            assert self.script
            self.script(wire, head)
            return
        self.got += [without_port(head.raw), wire.read_body(head)]
        wire.send(ANSWERS[name])


upstream = Upstream()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    ports = free_ports(2)
    points = {
        name: {"address": f"127.0.0.1:{port}", "http": {"tls": {}}}
        for name, port in zip(("tapped-tls", "plain-tls"), ports, strict=True)
    }
    routers = {
        "tapped-tls": {
            "rule": "PathPrefix(`/`)",
            "entryPoints": ["tapped-tls"],
            "middlewares": ["tap"],
            "service": "upstream",
        },
        "plain-tls": {"rule": "PathPrefix(`/`)", "entryPoints": ["plain-tls"], "service": "upstream"},
    }
    with theatre(tmp_path_factory.mktemp("traefik")) as set_stage:
        stage = set_stage(upstream, static={"entryPoints": points}, dynamic={"http": {"routers": routers}})
        SECURE[stage.traefik.url], SECURE[stage.traefik.plain_url] = (f"https://127.0.0.1:{port}" for port in ports)
        yield stage


SECURE: dict[str, str] = {}
"""The entry point with TLS beside each one without. Its certificate is one that Traefik makes itself."""

protocols = pytest.mark.parametrize("protocol", [H2C, TLS], ids=["h2c", "h2"])


def both(stage: Stage, protocol: tuple[str, ...]) -> tuple[str, str]:
    """The addresses of the tapped and of the plain route."""
    urls = stage.traefik.url, stage.traefik.plain_url
    return (SECURE[urls[0]], SECURE[urls[1]]) if protocol is TLS else urls


def exchange(folder: Path, url: str, *arguments: str, **more: Any) -> tuple[Got, list[bytes]]:
    upstream.got.clear()
    return fetch(folder, url, *arguments, "-H", "Host: models.example", **more), list(upstream.got)


@protocols
@pytest.mark.parametrize("name", ANSWERS)
def test_a_reply(tmp_path: Path, stage: Stage, protocol: tuple[str, ...], name: str) -> None:
    tapped_url, plain_url = both(stage, protocol)
    tapped = exchange(tmp_path, f"{tapped_url}/{name}", *protocol, "--data", "ping")
    for _ in range(6):  # plain Traefik cuts some short
        plain = exchange(tmp_path, f"{plain_url}/{name}", *protocol, "--data", "ping")
        if plain == tapped:
            break
    assert tapped == plain
    assert tapped[0].heads.startswith(b"HTTP/2 ")
    assert tapped[0].code == 0
    assert (b"x-sum: 42" in tapped[0].heads) == name.startswith("trailers")


@protocols
@pytest.mark.parametrize(
    "arguments",
    [("--head",), ("--request", "GET"), ("--request", "DELETE"), ("-H", "X-Large: " + "x" * 60_000)],
    ids=["HEAD", "GET", "DELETE", "a large header"],
)
def test_a_request_without_a_body(
    tmp_path: Path, stage: Stage, protocol: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    tapped, plain = (exchange(tmp_path, f"{url}/length", *protocol, *arguments) for url in both(stage, protocol))
    assert tapped == plain
    assert tapped[0].code == 0


@protocols
@pytest.mark.parametrize("announced", [True, False], ids=["of known length", "of unknown length"])
def test_an_upload_of_20_mb(tmp_path: Path, stage: Stage, protocol: tuple[str, ...], announced: bool) -> None:
    how = ("--data-binary", "@-") if announced else ("--request", "POST", "--upload-file", "-")
    tapped, plain = (exchange(tmp_path, f"{url}/empty", *protocol, *how, sent=LARGE) for url in both(stage, protocol))
    assert tapped == plain
    assert tapped[1][1] == LARGE


@protocols
def test_each_event_arrives_before_the_next_is_sent(stage: Stage, protocol: tuple[str, ...]) -> None:
    for url in both(stage, protocol):
        seen = threading.Semaphore(0)

        def script(wire: Wire, head: Head, seen: threading.Semaphore = seen) -> None:
            wire.read_body(head)
            wire.send(STREAM)
            for number in range(5):
                wire.send_chunk(b"data: %d\n" % number)
                assert seen.acquire(timeout=PATIENCE)
            wire.send(b"0\r\n\r\n")

        upstream.script = script
        with Transfer(*protocol, f"{url}/stream") as transfer:
            for number in range(5):
                assert transfer.replies.readline() == b"data: %d\n" % number
                seen.release()
            assert transfer.replies.readline() == b""


@protocols
def test_each_part_of_an_upload_arrives_before_the_next_is_sent(stage: Stage, protocol: tuple[str, ...]) -> None:
    for url in both(stage, protocol):
        arrived = threading.Semaphore(0)

        def script(wire: Wire, _head: Head, arrived: threading.Semaphore = arrived) -> None:
            while wire.read_chunk():
                arrived.release()
            wire.read_until(b"\r\n")
            wire.send(OK + b"Content-Length: 5\r\n\r\nfine\n")

        upstream.script = script
        with Transfer(*protocol, "--upload-file", "-", f"{url}/upload") as transfer:
            for _ in range(5):
                transfer.send(b"part")
                assert arrived.acquire(timeout=PATIENCE)
            transfer.end()
            assert transfer.replies.readline() == b"fine\n"


@protocols
def test_the_upstream_hears_that_a_client_has_left_a_stream(stage: Stage, protocol: tuple[str, ...]) -> None:
    for url in both(stage, protocol):
        gone = threading.Event()

        def script(wire: Wire, head: Head, gone: threading.Event = gone) -> None:
            wire.read_body(head)
            wire.send(STREAM)
            wire.send_chunk(b"data: 1\n")
            wire.read_rest()
            gone.set()
            raise EOFError

        upstream.script = script
        path = f"/left/{protocol[0]}/stream"
        with Transfer(*protocol, f"{url}{path}") as transfer:
            assert transfer.replies.readline() == b"data: 1\n"
            transfer.kill()
            assert gone.wait(PATIENCE)
    (report,) = wait_for(lambda: [report for report in stage.collector.reports if report.path == path])
    assert (report.aborted, report.status, report.response_body) == ("client", 200, "data: 1\n")


# ── Frame by frame ──────────────────────────────────────────────────────────────────────


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
        wire.send(ANSWERS["length"])

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
