"""Clients that leave, or that end their side of the connection: the upstream hears of it as without the plugin."""

from __future__ import annotations

import threading

import pytest

from support.differential import ENDED, Notes, Routes, Scene, dissect
from support.stage import request
from support.wire import Head, Wire

PATIENCE = 30
OK = b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
FINE = OK + b"Content-Length: 4\r\n\r\nfine"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize("how", ["end", "close", "reset"])
@pytest.mark.parametrize("body", [b"ping", b""], ids=["POST", "GET"])
def test_a_client_that_leaves_before_the_reply(both: Routes, body: bytes, how: str) -> None:
    """One that only ends its side has left, says Go."""
    path = f"/left-before/{how}/{len(body)}"

    def scene(_notes: Notes) -> Scene:
        asked, gone = threading.Event(), threading.Event()

        def upstream(wire: Wire, head: Head) -> None:
            wire.read_body(head)
            asked.set()
            wire.read_rest()  # Traefik passes the news on
            gone.set()
            raise EOFError

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("POST" if body else "GET", path, f"Content-Length: {len(body)}") + body)
            assert asked.wait(PATIENCE)
            getattr(wire, how)()
            assert gone.wait(PATIENCE)
            return dissect(wire.read_rest(), framed=False) if how == "end" else []

        return upstream, client

    assert both.compare(scene).upstream[-1] == ENDED
    assert both.report(path).aborted == "client"


@pytest.mark.parametrize("how", ["end", "close", "reset"])
@pytest.mark.parametrize("length", ["Content-Length: 100", CHUNKED], ids=["of known length", "in chunks"])
def test_a_client_that_leaves_in_the_middle_of_the_reply(both: Routes, length: str, how: str) -> None:
    path = f"/left-in/{how}/{length[:7]}"

    def scene(_notes: Notes) -> Scene:
        gone = threading.Event()

        def upstream(wire: Wire, head: Head) -> None:
            wire.read_body(head)
            wire.send(OK + f"{length}\r\n\r\n".encode() + (b"4\r\nfine\r\n" if length == CHUNKED else b"fine"))
            wire.read_rest()
            gone.set()
            raise EOFError

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("POST", path, "Content-Length: 4") + b"ping")
            begun = [wire.read_head().start.encode(), wire.read_until(b"fine")]
            getattr(wire, how)()
            assert gone.wait(PATIENCE)
            return [*begun, wire.read_rest()] if how == "end" else begun

        return upstream, client

    assert both.compare(scene).upstream[-1] == ENDED
    report = both.report(path)
    assert (report.aborted, report.status, report.response_content()) == ("client", 200, b"fine")


@pytest.mark.parametrize("how", ["end", "close", "reset"])
@pytest.mark.parametrize("length", ["Content-Length: 100000", CHUNKED], ids=["of known length", "in chunks"])
def test_a_client_that_leaves_in_the_middle_of_its_request(both: Routes, length: str, how: str) -> None:
    path = f"/left-in-request/{how}/{length[:7]}"
    assert both.compare(lambda _notes: leaving(path, length, how)).upstream[-1] == ENDED
    assert both.report(path).request_bytes == 50_000


@pytest.mark.parametrize("how", ["end", "close", "reset"])
@pytest.mark.parametrize("length", ["Content-Length: 100000", CHUNKED], ids=["of known length", "in chunks"])
def test_a_client_that_leaves_in_the_middle_of_its_request_is_named(both: Routes, length: str, how: str) -> None:
    """What Traefik notices first is a race, the broken body or the end of the context, so there are some tries."""
    paths = [f"/named/{how}/{length[:7]}/{number}" for number in range(12)]
    for path in paths:
        both.see(both.stage.traefik.url, lambda _notes, path=path: leaving(path, length, how))  # type: ignore[misc]
    assert {both.report(path).aborted for path in paths} == {"client"}


def test_a_client_whose_chunks_are_broken_is_named(both: Routes) -> None:
    """It is still there, so nothing but the body's error tells of it."""

    def scene(_notes: Notes) -> Scene:
        def upstream(wire: Wire, _head: Head) -> None:
            wire.read_rest()
            raise EOFError

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("POST", "/broken-chunks", CHUNKED) + b"4\r\nping\r\nzz\r\n")
            return dissect(wire.read_rest())

        return upstream, client

    # Whether the upstream hears of it at all is a race, so the two routes aren't compared.
    assert both.see(both.stage.traefik.url, scene).client[0].startswith(b"HTTP/1.1 500 ")
    assert both.report("/broken-chunks").aborted == "client"


def leaving(path: str, length: str, how: str) -> Scene:
    """A client that leaves in this way after 50,000 bytes of its request."""
    part = b"c350\r\n%b\r\n" % (b"x" * 50_000) if length == CHUNKED else b"x" * 50_000
    begun, gone = threading.Event(), threading.Event()

    def upstream(wire: Wire, _head: Head) -> None:
        begun.set()
        wire.read_rest()
        gone.set()
        raise EOFError

    def client(wire: Wire) -> list[bytes]:
        wire.send(request("POST", path, length) + part)
        assert begun.wait(PATIENCE)
        getattr(wire, how)()
        assert gone.wait(PATIENCE)
        # Who ends its side gets 499, 500 or 502, as it happens, with the plugin and without it.
        return [wire.read_rest()[:9]] if how == "end" else []

    return upstream, client


def test_a_client_that_ends_its_side_after_the_reply_has_come(both: Routes) -> None:
    def scene(notes: Notes) -> Scene:
        def upstream(wire: Wire, head: Head) -> None:
            notes.append(wire.read_body(head))
            wire.send(FINE)

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("POST", "/left-after", "Content-Length: 4") + b"ping")
            head = wire.read_head()
            body = wire.read_body(head)
            wire.end()
            return [head.start.encode(), body, wire.read_rest()]

        return upstream, client

    assert both.compare(scene).client[1:] == [b"fine", b""]
    assert both.report("/left-after").aborted == ""
