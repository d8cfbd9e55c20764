"""Clients that speak HTTP/2, over TLS and without: they and the upstream see what they see without the plugin."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from support.collector import wait_for
from support.curl import H2C, TLS, Got, Transfer, fetch
from support.differential import plainly, without_port
from support.ports import free_ports
from support.stage import Stage, theatre
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
    assert plainly(lambda: exchange(tmp_path, f"{plain_url}/{name}", *protocol, "--data", "ping"), tapped) == tapped
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
