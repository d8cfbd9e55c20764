"""The plugin before and behind other middlewares, some of which panic: what comes of them is the same without it."""

from __future__ import annotations

import shutil
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.differential import Notes, Routes, Scene, dissect
from support.stage import request, theatre
from support.traefik import plugin_folder
from support.wire import Head, Wire

MODULE = "example.test/faulty"
OK = b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
TEXT = b"so it goes " * 500

MIDDLEWARES: dict[str, dict[str, Any]] = {
    "retry": {"retry": {"attempts": 3, "initialInterval": "1ms"}},
    "compress": {"compress": {"minResponseBodyBytes": 100}},
    "buffering": {
        "buffering": {"maxRequestBodyBytes": 50_000, "memRequestBodyBytes": 1000, "memResponseBodyBytes": 1000}
    },
    "buffering-retry": {"buffering": {"retryExpression": "IsNetworkError() && Attempts() < 3"}},
    "circuit": {"circuitBreaker": {"expression": "NetworkErrorRatio() > 1.5"}},
    "errors": {"errors": {"status": ["500-599"], "service": "upstream", "query": "/error-page/{status}"}},
    "headers": {"headers": {"customResponseHeaders": {"X-Added": "1"}, "customRequestHeaders": {"X-Up": "1"}}},
    "strip": {"stripPrefix": {"prefixes": ["/before", "/behind"]}},
    "rate": {"rateLimit": {"average": 1000, "burst": 1000}},
    "in-flight": {"inFlightReq": {"amount": 100}},
    "faulty": {"plugin": {"faulty": {}}},
}
PLACES = ("before", "behind")


def dynamic() -> dict[str, Any]:
    """For each middleware a route with it before the plugin, one with it behind, and the same without the plugin."""
    routers = {}
    for name in MIDDLEWARES:
        for place in PLACES:
            rule = f"PathPrefix(`/{place}/{name}/`)"
            chain = [name, "tap"] if place == "before" else ["tap", name]
            tapped = {"rule": rule, "entryPoints": ["tapped"], "middlewares": chain, "service": "upstream"}
            plain = {"rule": rule, "entryPoints": ["plain"], "middlewares": [name], "service": "upstream"}
            routers |= {f"{place}-{name}-tapped": tapped, f"{place}-{name}-plain": plain}
    return {"http": {"routers": routers, "middlewares": MIDDLEWARES}}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routes]:
    folder = tmp_path_factory.mktemp("traefik")
    shutil.copytree(Path(__file__).parent / "faulty", plugin_folder(folder, MODULE))
    static = {"experimental": {"localPlugins": {"faulty": {"moduleName": MODULE}}}}
    routes = Routes()
    with theatre(folder) as set_stage:
        routes.set(set_stage(routes, static=static, dynamic=dynamic()))
        yield routes


Script = Callable[[Wire, Head, int], None]


def calling(
    path: str, script: Script, *lines: str, body: bytes = b"ping", framed: bool = True
) -> Callable[[Notes], Scene]:
    """A POST, and an upstream that is told the how manieth of its requests this is."""

    def scene(notes: Notes) -> Scene:
        count = 0
        lock = threading.Lock()

        def upstream(wire: Wire, head: Head) -> None:
            nonlocal count
            with lock:
                count += 1
            if head.target.startswith("/error-page/"):
                wire.send(OK + b"Content-Length: 8\r\n\r\nour page")
                return
            notes.append(wire.read_body(head))
            script(wire, head, count)

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("POST", path, "Connection: close", f"Content-Length: {len(body)}", *lines) + body)
            return unpacked(dissect(wire.read_rest(), framed=framed))

        return upstream, client

    return scene


def unpacked(parts: list[bytes]) -> list[bytes]:
    """What the client makes of a compressed body: how it is packed depends on when the compressor is asked to hurry."""
    if b"\r\nContent-Encoding: gzip" not in parts[-3]:
        return parts
    return [*parts[:-2], zlib.decompressobj(31).decompress(parts[-2]), parts[-1]]


def small(wire: Wire, _head: Head, _count: int) -> None:
    wire.send(OK + b"Content-Length: 4\r\n\r\nfine")


def text(wire: Wire, _head: Head, _count: int) -> None:
    wire.send(OK + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(TEXT), TEXT))


def stream(wire: Wire, _head: Head, _count: int) -> None:
    wire.send(OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(20):
        wire.send_chunk(b"data: %d\n\n" % number * 10)
    wire.send(b"0\r\n\r\n")


def trailing(wire: Wire, _head: Head, _count: int) -> None:
    wire.send(OK + b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\nX-Sum: 1\r\n\r\n")


def hinting(wire: Wire, head: Head, count: int) -> None:
    wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    small(wire, head, count)


def busy(wire: Wire, _head: Head, _count: int) -> None:
    wire.send(b"HTTP/1.1 503 Busy\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 4\r\n\r\nbusy")


def nothing(wire: Wire, _head: Head, _count: int) -> None:
    wire.send(b"HTTP/1.1 204 No Content\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n")


def gone_at_first(wire: Wire, head: Head, count: int) -> None:
    if count == 1:
        wire.reset()
    else:
        small(wire, head, count)


def cut(wire: Wire, _head: Head, _count: int) -> None:
    wire.send(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n")
    wire.close()


SCRIPTS: list[Script] = [small, text, stream, trailing, hinting, busy, nothing, gone_at_first, cut]


HURRIES = pytest.mark.xfail(
    reason="the plugin flushes each head and piece of a reply without a length, also where Traefik would not"
)


COMBINED = [
    (name, place, script)
    for name in MIDDLEWARES
    for place in PLACES
    for script in SCRIPTS
    if name != "faulty" and (name, place, script) != ("compress", "before", gone_at_first)  # these have their own tests
]


@pytest.mark.parametrize(
    ("name", "place", "script"), COMBINED, ids=[f"{name}-{place}-{script.__name__}" for name, place, script in COMBINED]
)
def test_a_middleware(both: Routes, name: str, place: str, script: Script) -> None:
    both.compare(calling(f"/{place}/{name}/{script.__name__}", script, "Accept-Encoding: gzip", framed=False))


@HURRIES
@pytest.mark.parametrize(
    ("name", "place", "script"),
    [
        ("compress", "before", gone_at_first),
        ("compress", "behind", text),
        ("buffering", "behind", stream),
    ],
    ids=["a small error, compressed", "a compressed reply", "a buffered stream"],
)
def test_the_framing_of_what_a_middleware_wrote(both: Routes, name: str, place: str, script: Script) -> None:
    both.compare(calling(f"/{place}/{name}/{script.__name__}", script, "Accept-Encoding: gzip"))


@pytest.mark.parametrize("place", PLACES)
def test_a_body_that_a_middleware_refuses(both: Routes, place: str) -> None:
    scene = calling(f"/{place}/buffering/large", small, body=b"x" * 100_000, framed=False)
    assert both.compare(scene).client[0].startswith(b"HTTP/1.1 413 ")


def test_a_request_that_is_tried_again_behind_the_plugin_is_one_call(both: Routes) -> None:
    seen = both.compare(calling("/behind/buffering-retry/once", gone_at_first, framed=False))
    assert seen.client[1] == b"fine"
    report = both.report("/behind/buffering-retry/once")
    assert (report.request_content(), report.status, report.response_content()) == (b"ping", 200, b"fine")


# ── Panics ──────────────────────────────────────────────────────────────────────────────

PANICS = ["at once", "abort", "after reading", "after the reply"]
AFTER_WRITING = ["after the head", "after writing", "after writing without a length"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("when", PANICS)
def test_a_middleware_that_panics(both: Routes, when: str, place: str) -> None:
    both.compare(calling(f"/{place}/faulty/{when}".replace(" ", "-"), small, f"X-Panic: {when}", framed=False))


@pytest.mark.parametrize("when", AFTER_WRITING)
def test_a_middleware_that_panics_when_it_has_written_before_the_plugin(both: Routes, when: str) -> None:
    both.compare(calling("/before/faulty/after-writing", small, f"X-Panic: {when}", framed=False))


@HURRIES
@pytest.mark.parametrize("when", AFTER_WRITING)
def test_what_a_middleware_behind_the_plugin_wrote_before_it_panicked(both: Routes, when: str) -> None:
    both.compare(calling("/behind/faulty/after-writing", small, f"X-Panic: {when}", framed=False))


@pytest.mark.parametrize("when", [*PANICS, *AFTER_WRITING])
def test_a_panic_behind_the_plugin_is_no_whole_reply_and_reported_and_the_route_lives_on(
    both: Routes, when: str
) -> None:
    path = f"/behind/faulty/reported/{when}".replace(" ", "-")
    seen = both.see(both.stage.traefik.url, calling(path, small, f"X-Panic: {when}", framed=False))
    if when in AFTER_WRITING:
        assert seen.client[-1] == b"cut" or len(seen.client[-2]) < 10
    report = both.report(path)
    assert report.method == "POST"
    assert report.aborted == "upstream"
    assert both.compare(calling(f"{path}/next", small)).client[1] == b"fine"
