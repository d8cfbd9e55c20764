"""The dynamic configuration changes while something passes: it passes on as it does without the plugin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.differential import Notes, Routes, Scene, dissect
from support.stage import request
from support.traefik import TraefikError
from support.wire import Head, Wire

PATIENCE = 30
OK = b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
CHUNKED = "Transfer-Encoding: chunked"


def another_route(both: Routes) -> None:
    """Traefik makes every middleware anew when anything changes."""
    new = {"rule": "Host(`new.example`)", "entryPoints": ["tapped"], "middlewares": ["tap"], "service": "upstream"}
    both.stage.traefik.configure(dynamic={"http": {"routers": {f"new-{next(NUMBERS)}": new}}})


def other_settings(both: Routes) -> None:
    middleware: dict[str, Any] = {"apiurl": both.stage.collector.url, "flushInterval": f"{10 + next(NUMBERS)}ms"}
    both.stage.traefik.configure(middleware=middleware)


def wrong_settings(both: Routes) -> None:
    """The tapped route is out of service afterwards; what passes does not know."""
    with pytest.raises(TraefikError, match="apiurl"):
        both.stage.traefik.configure(middleware={"apiurl": "nonsense"})


NUMBERS = iter(range(1000))
changes = pytest.mark.parametrize("change", [another_route, other_settings, wrong_settings])


@pytest.fixture(autouse=True)
def in_service(both: Routes) -> Iterator[None]:
    yield
    other_settings(both)


@changes
@pytest.mark.parametrize("length", ["Content-Length: 40", CHUNKED], ids=["of known length", "in chunks"])
def test_a_reload_during_a_stream(both: Routes, change: Callable[[Routes], None], length: str) -> None:
    path = f"/stream/{change.__name__}/{length[:7]}"

    def scene(_notes: Notes) -> Scene:
        seen = threading.Semaphore(0)

        def upstream(wire: Wire, head: Head) -> None:
            wire.read_body(head)
            wire.send(OK + f"{length}\r\n\r\n".encode())
            for number in range(4):
                piece = b"piece %d..." % number
                (wire.send_chunk if length == CHUNKED else wire.send)(piece[:10])
                assert seen.acquire(timeout=PATIENCE)
            wire.send(b"0\r\n\r\n" if length == CHUNKED else b"")

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("GET", path, "Connection: close"))
            head = wire.read_head()
            pieces = []
            for number in range(4):
                pieces.append(wire.read_chunk() if length == CHUNKED else wire.read_exactly(10))
                if number % 2 == 0:
                    change(both)
                seen.release()
            return [head.start.encode(), *pieces, wire.read_rest()]

        return upstream, client

    tapped = both.see(both.stage.traefik.url, scene)
    other_settings(both)
    assert tapped == both.see(both.stage.traefik.plain_url, scene)
    report = both.report(path)
    assert (report.aborted, report.response_content()) == ("", b"".join(tapped.client[1:5]))


@changes
@pytest.mark.parametrize("length", ["Content-Length: 100000", CHUNKED], ids=["of known length", "in chunks"])
def test_a_reload_during_an_upload(both: Routes, change: Callable[[Routes], None], length: str) -> None:
    path = f"/upload/{change.__name__}/{length[:7]}"

    def scene(notes: Notes) -> Scene:
        begun = threading.Event()

        def upstream(wire: Wire, head: Head) -> None:
            begun.set()
            notes.append(wire.read_body(head))
            wire.send(OK + b"Content-Length: 4\r\n\r\nfine")

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("POST", path, "Connection: close", length))
            send = wire.send_chunk if length == CHUNKED else wire.send
            send(b"x" * 50_000)
            assert begun.wait(PATIENCE)
            change(both)
            send(b"y" * 50_000)
            if length == CHUNKED:
                wire.send_chunk(b"")
            return dissect(wire.read_rest())

        return upstream, client

    tapped = both.see(both.stage.traefik.url, scene)
    other_settings(both)
    assert tapped == both.see(both.stage.traefik.plain_url, scene)
    assert tapped.upstream[1] == b"x" * 50_000 + b"y" * 50_000
    assert tapped.client[1] == b"fine"
    report = both.report(path)
    assert (report.aborted, report.request_bytes, report.status) == ("", 100_000, 200)
