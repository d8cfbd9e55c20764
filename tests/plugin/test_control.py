"""The same exchange down the tapped and the plain route of one Traefik: both sides see the same, the report is true.

Traefik itself changes what passes (hop-by-hop headers, chunk boundaries, `X-Forwarded-*`), so nothing is compared
with what was sent, but with what comes of it where the plugin isn't.
"""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from support.collector import wait_for
from support.differential import Seen, dissect, plainly, without_port
from support.stage import SetStage, Stage, request, theatre
from support.wire import Head, Wire

MEBIBYTE = 1024 * 1024
JSON = b'{"choices":[{"message":{"content":"hi"}}]}'
RANDOM = os.urandom(100_000)
LARGE = os.urandom(20 * MEBIBYTE)


@dataclass(frozen=True)
class Case:
    """A request, an answer, and what the report must say of them."""

    answer: bytes
    body: bytes = JSON
    """Of the reply, as the client should get it."""
    status: int = 200
    aborted: str = ""
    method: str = "POST"
    lines: tuple[str, ...] = ("Content-Length: 4",)
    sent: bytes = b"ping"
    """The request's body on the wire."""
    received: bytes = b"ping"
    """The request's body as the upstream should get it."""
    version: str = "1.1"
    suffix: str = ""
    """Behind the path: a query, or more of the path."""
    interim: bytes = b""
    """Sent before the request's body is read."""


def answer(body: bytes = JSON, *lines: str, status: str = "200 OK", announce: int | None = None) -> bytes:
    """A reply of known length."""
    length = f"Content-Length: {len(body) if announce is None else announce}"
    head = [f"HTTP/1.1 {status}", "Date: Mon, 01 Jan 2024 00:00:00 GMT", length, *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def unannounced(*lines: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    """A reply of unknown length."""
    return "\r\n".join([f"HTTP/1.1 {status}", "Date: Mon, 01 Jan 2024 00:00:00 GMT", *lines, "", ""]).encode() + body


CHUNKED = "Transfer-Encoding: chunked"
TWO_CHUNKS = b"15\r\n" + JSON[:21] + b"\r\n15\r\n" + JSON[21:] + b"\r\n"
CHUNKED_UPLOAD = b"2\r\npi\r\n2;note=odd\r\nng\r\n0\r\n\r\n"

CASES = {
    "a reply of known length": Case(answer()),
    "a chunked reply": Case(unannounced(CHUNKED, body=TWO_CHUNKS + b"0\r\n\r\n")),
    "an event stream of known length": Case(answer(JSON, "Content-Type: text/event-stream")),
    "a reply that ends with the connection": Case(unannounced("Connection: close", body=JSON)),
    "a reply of HTTP/1.0": Case(unannounced(body=JSON).replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
    "a compressed reply": Case(
        answer(gzip.compress(JSON, mtime=0), "Content-Encoding: gzip"),
        gzip.compress(JSON, mtime=0),
        lines=("Content-Length: 4", "Accept-Encoding: gzip"),
    ),
    "a compressed reply to a client that did not ask for it": Case(
        answer(gzip.compress(JSON, mtime=0), "Content-Encoding: gzip")
    ),
    "a binary reply": Case(answer(RANDOM, "Content-Type: audio/mpeg"), RANDOM),
    "a reply of 20 MB": Case(answer(LARGE), LARGE),
    "a chunked reply of 20 MB": Case(unannounced(CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE)), LARGE),
    "an empty reply": Case(answer(b""), b""),
    "an empty chunked reply": Case(unannounced(CHUNKED, body=b"0\r\n\r\n"), b""),
    "an empty event stream": Case(unannounced(CHUNKED, "Content-Type: text/event-stream", body=b"0\r\n\r\n"), b""),
    "trailers": Case(unannounced(CHUNKED, "Trailer: X-Sum", body=TWO_CHUNKS + b"0\r\nX-Sum: 42\r\n\r\n")),
    "trailers that were not announced": Case(unannounced(CHUNKED, body=TWO_CHUNKS + b"0\r\nX-Sum: 42\r\n\r\n")),
    "trailers without a body": Case(unannounced(CHUNKED, "Trailer: X-Sum", body=b"0\r\nX-Sum: 42\r\n\r\n"), b""),
    "early hints": Case(
        answer(),
        interim=b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n",
    ),
    "HEAD": Case(answer(b"", announce=1234), b"", method="HEAD", lines=(), sent=b"", received=b""),
    "HEAD of unknown length": Case(unannounced(), b"", method="HEAD", lines=(), sent=b"", received=b""),
    "204": Case(unannounced(status="204 No Content"), b"", 204, method="DELETE", lines=(), sent=b"", received=b""),
    "304": Case(
        unannounced('Etag: "1"', status="304 Not Modified"), b"", 304, method="GET", lines=(), sent=b"", received=b""
    ),
    "a status that nobody knows": Case(answer(JSON, status="299 Odd"), status=299),
    "an error": Case(answer(b"<html>", "Content-Type: text/html", status="503 Busy"), b"<html>", 503),
    "headers that repeat": Case(answer(JSON, "Set-Cookie: a=1", "Set-Cookie: b=2", "Vary: A", "Vary: B")),
    "headers that are not UTF-8": Case(
        answer(JSON, "X-Name: \xff\xe4"), lines=("Content-Length: 4", "X-Name: \xff\xe4")
    ),
    "a hundred headers": Case(
        answer(JSON, *[f"X-Reply-{n}: {n}" for n in range(100)]),
        lines=("Content-Length: 4", *[f"X-Request-{n}: {n}" for n in range(100)]),
    ),
    "a chunked request": Case(answer(), lines=(CHUNKED,), sent=CHUNKED_UPLOAD),
    "a client of HTTP/1.0": Case(answer(), version="1.0"),
    "a client of HTTP/1.0 and a chunked reply": Case(
        unannounced(CHUNKED, body=TWO_CHUNKS + b"0\r\n\r\n"), version="1.0"
    ),
    "a client that waits for 100": Case(
        answer(), lines=("Content-Length: 4", "Expect: 100-continue"), interim=b"HTTP/1.1 100 Continue\r\n\r\n"
    ),
    "a request of 5 MB": Case(
        answer(), lines=(f"Content-Length: {5 * MEBIBYTE}",), sent=LARGE[: 5 * MEBIBYTE], received=LARGE[: 5 * MEBIBYTE]
    ),
    "a query of 8 KB": Case(answer(), suffix="?api-version=1&q=" + "%20x" * 2048),
    "a query that is none": Case(answer(), suffix="?%zz;&&=&key&a=%ff"),
    "a path that is not UTF-8": Case(answer(), suffix="/%FF%FE/%E4?x"),
    "a path of 20 KB": Case(answer(), suffix="/" + "p" * 20_000),
    "a method that nobody knows": Case(answer(), method="LIST"),
    "a chunked reply that is cut": Case(unannounced(CHUNKED, "Connection: close", body=TWO_CHUNKS), aborted="upstream"),
    "an answer that is not HTTP": Case(b"\x00\xffbabble\r\n\r\n", b"Internal Server Error", 500),
    "an upstream that hangs up": Case(b"", b"Bad Gateway", 502),
}


class Upstream:
    """Plays the case that the request names, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self._lock = threading.Lock()

    def __call__(self, wire: Wire, head: Head) -> None:
        case = CASES[list(CASES)[int(head.headers["x-case"])]]
        wire.send(case.interim)
        body = wire.read_body(head)
        with self._lock:
            self.got += [head.raw, body]
        wire.send(case.answer)
        if not case.answer.startswith(b"HTTP/1.1") or b"\r\nConnection: close" in case.answer:
            wire.close()


upstream = Upstream()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with theatre(tmp_path_factory.mktemp("traefik")) as set_stage:
        yield set_stage(upstream)


def play(stage: Stage, url: str, path: str, name: str) -> Seen:
    """The case on one route."""
    case = CASES[name]
    upstream.got.clear()
    number = list(CASES).index(name)
    head = request(case.method, path + case.suffix, *case.lines, f"X-Case: {number}", "Connection: close")
    wire = stage.connect(url)
    sender = threading.Thread(
        target=wire.send, args=(head.replace(b"HTTP/1.1", b"HTTP/" + case.version.encode()) + case.sent,)
    )
    sender.start()
    raw = wire.read_all()
    sender.join()
    wire.close()
    return Seen(dissect(raw), [without_port(part) for part in upstream.got])


@pytest.mark.parametrize("name", CASES)
def test_both_sides_see_the_same_as_without_the_plugin(stage: Stage, name: str) -> None:
    tapped = play(stage, stage.traefik.url, "/compared", name)
    assert plainly(lambda: play(stage, stage.traefik.plain_url, "/compared", name), tapped) == tapped
    case = CASES[name]
    assert case.body in tapped.client
    assert tapped.upstream[1::2] == [case.received] * (len(tapped.upstream) // 2)


@pytest.mark.parametrize("name", CASES)
def test_the_report_is_what_passed(stage: Stage, name: str) -> None:
    case = CASES[name]
    path = f"/reported/{list(CASES).index(name)}"
    play(stage, stage.traefik.url, path, name)
    expected = (path + case.suffix.partition("?")[0])[:8192]
    (report,) = wait_for(lambda: [report for report in stage.collector.reports if report.path == expected])
    assert (report.method, report.status, report.aborted) == (case.method, case.status, case.aborted)
    assert (report.request_bytes, report.response_bytes) == (len(case.received), len(case.body))
    assert report.request_content() == case.received[:MEBIBYTE]
    assert report.response_content() == case.body[: 8 * MEBIBYTE]
    assert report.request_truncated is (len(case.received) > MEBIBYTE)
    assert report.response_truncated is (len(case.body) > 8 * MEBIBYTE)
    assert [mark[0] for mark in report.timeline][-1:] == ([len(case.body)] if case.body else [])


# ── What ends early ─────────────────────────────────────────────────────────────────────


def test_a_reply_shorter_than_announced_is_broken_off_on_both_routes(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(answer(JSON, announce=1000))
        wire.close()

    stage = set_stage(script)
    # Traefik alone drops what it has not flushed yet; the plugin has handed it on.
    for url, whole in (stage.traefik.url, True), (stage.traefik.plain_url, False):
        wire = stage.connect(url)
        wire.send(request("POST", "/", "Content-Length: 4") + b"ping")
        got = wire.read_all()
        assert got.endswith(JSON) or not whole
        assert len(got.partition(b"\r\n\r\n")[2]) < 1000
    (report,) = stage.collector.wait_for(1)
    assert (report.aborted, report.response_content()) == ("upstream", JSON)


# ── Many times in a row ─────────────────────────────────────────────────────────────────


def quick(wire: Wire) -> bool:
    """A small call on a connection that is kept; whether the reply is whole."""
    wire.send(request("POST", "/quick", "Content-Length: 4") + b"ping")
    try:
        head = wire.read_head()
        return (head.status, wire.read_body(head)) == (200, JSON)
    except EOFError:
        return False


def early(wire: Wire) -> bool:
    """A large upload that the upstream answers before it has read it all; whether the reply is whole."""
    try:
        wire.send(request("POST", "/early", f"Content-Length: {300_000}") + LARGE[:300_000])
        head = wire.read_head()
        return (head.status, wire.read_body(head)) == (200, JSON)
    except (EOFError, OSError):
        return False


def hasty(wire: Wire, head: Head) -> None:
    """An upstream that answers before it has read large requests, and at once to small ones."""
    if head.target == "/early":
        wire.send(answer(JSON))
    wire.read_body(head)
    if head.target != "/early":
        wire.send(answer(JSON))


def broken(stage: Stage, url: str, call: Callable[[Wire], bool], count: int) -> int:
    """How many of so many calls in a row had no whole reply. A connection is kept as long as it lasts."""
    failures, wire = 0, stage.connect(url)
    for _ in range(count):
        if not call(wire):
            failures += 1
            wire = stage.connect(url)
    return failures


@pytest.mark.parametrize(("call", "count"), [(quick, 2000), (early, 100)])
def test_no_more_replies_break_than_without_the_plugin(
    set_stage: SetStage, call: Callable[[Wire], bool], count: int
) -> None:
    stage = set_stage(hasty)
    plain = broken(stage, stage.traefik.plain_url, call, count)
    tapped = broken(stage, stage.traefik.url, call, count)
    assert tapped <= plain
