"""Upstreams that break off, or that answer before they have read: the client sees what it sees without the plugin."""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import suppress

import pytest

from support.differential import ENDED, Notes, Routes, Scene, dissect
from support.stage import request
from support.wire import Head, Wire

PATIENCE = 30
LARGE = os.urandom(8 * 1024 * 1024)
DATE = b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + DATE
CLOSE = "Connection: close"
CHUNKED = "Transfer-Encoding: chunked"
TWO_CHUNKS = b"2\r\nfi\r\n2\r\nne\r\n"


# ── An upstream that breaks off ─────────────────────────────────────────────────────────

PIECES = OK + b"Transfer-Encoding: chunked\r\n\r\n" + TWO_CHUNKS
BEGUN = {
    "before the head": (b"", b"", b""),
    "in the head": (b"", b"HTTP/1.1 200 OK\r\nContent-Le", b""),
    "after the head": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"", b""),
    "in a body of known length": (OK + b"Content-Length: 1000\r\n\r\nfine", b"", b"fine"),
    "between chunks": (PIECES, b"", b"fine"),
    "in a chunk": (PIECES, b"9\r\nhal", b"finehal"),
    "in the trailers": (PIECES, b"0\r\nX-S", b"fine"),
    "with a chunk that has no size": (PIECES, b"zz\r\n", b"fine"),
    "with a chunk that is longer than it says": (PIECES, b"2\r\nxyz\r\n", b"finexy"),
}
"""What is sent, what more is sent once the client has the body of that, and the body in the end."""


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("when", BEGUN)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_upstream_that_breaks_off(both: Routes, method: str, when: str, how: str) -> None:
    begun, more, body = BEGUN[when]

    def scene(_notes: Notes) -> Scene:
        # Traefik alone keeps up to 0.1 s back of a body of known length, and drops it when it breaks off.
        arrived = threading.Event()

        def upstream(wire: Wire, head: Head) -> None:
            wire.read_body(head)
            wire.send(begun)
            if begun:
                assert arrived.wait(PATIENCE)
            wire.send(more)
            getattr(wire, how)()

        def client(wire: Wire) -> list[bytes]:
            body_of = b"ping" if method == "POST" else b""
            wire.send(request(method, "/broken", CLOSE, f"Content-Length: {len(body_of)}") + body_of)
            raw = b""
            while part := wire.read_some():
                raw += part
                if raw.endswith((b"e", b"e\r\n") if body else b"\r\n\r\n"):
                    arrived.set()
            arrived.set()
            return dissect(raw, framed=raw.startswith(b"HTTP/1.1 200"))

        return upstream, client

    seen = both.compare(scene)
    if begun:
        assert seen.client[0].startswith(b"HTTP/1.1 200 ")
        assert seen.client[1] == body
        assert seen.client[2] == b"cut" or b"Content-Length: 1000" in seen.client[0]
    else:
        assert seen.client[0].startswith(b"HTTP/1.1 50")


# ── An upstream that answers before it has read ─────────────────────────────────────────


@pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "in chunks"])
def test_an_upload_that_is_refused_before_it_has_ended(both: Routes, chunked: bool) -> None:
    upload = [b"10000\r\n%b\r\n" % LARGE[at : at + 65536] for at in range(0, len(LARGE), 65536)]
    upload.append(b"0\r\n\r\n")
    length = CHUNKED if chunked else f"Content-Length: {sum(map(len, upload))}"

    def scene(_notes: Notes) -> Scene:
        def upstream(wire: Wire, _head: Head) -> None:
            wire.send(b"HTTP/1.1 413 Too Large\r\n" + DATE + b"Connection: close\r\nContent-Length: 3\r\n\r\nbig")
            wire.read_rest()  # or its reset could overtake the reply

        def client(wire: Wire) -> list[bytes]:
            def send() -> None:
                with suppress(OSError):
                    # Where the upload has come to its end all the same, Traefik would keep the connection.
                    wire.send(request("POST", "/refused", length, CLOSE))
                    for part in upload:
                        wire.send(part)

            sender = threading.Thread(target=send)
            sender.start()
            raw = wire.read_rest()
            sender.join()
            # How much Traefik reads before it gives the connection up is a matter of luck too.
            return dissect(raw.replace(b"\r\nConnection: close", b""))

        return upstream, client

    # All three race here, with the plugin and without it: so it is the usual outcome that is the same.
    def usual(url: str) -> list[bytes]:
        outcomes = Counter(tuple(both.see(url, scene).client) for _ in range(3))
        return list(outcomes.most_common(1)[0][0])

    tapped = usual(both.stage.traefik.url)
    assert tapped == usual(both.stage.traefik.plain_url)
    assert tapped[0].startswith(b"HTTP/1.1 413 ")
    assert tapped[1] == b"big"


def test_an_upload_that_is_answered_and_then_read_to_its_end(both: Routes) -> None:
    begin, end = b"first half ", b"and the rest"

    def scene(notes: Notes) -> Scene:
        def upstream(wire: Wire, _head: Head) -> None:
            notes.append(wire.read_chunk())
            wire.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
            wire.send_chunk(b"begun")
            got = b""
            while chunk := wire.read_chunk():
                got += chunk
                wire.send_chunk(chunk)
            wire.read_until(b"\r\n")
            notes.append(got)
            wire.send_chunk(b"")

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("POST", "/answered-first", CLOSE, CHUNKED))
            wire.send_chunk(begin)
            head = wire.read_head()
            first = wire.read_chunk()
            wire.send_chunk(end)
            wire.send_chunk(b"")
            return [head.start.encode(), first, wire.read_rest()]

        return upstream, client

    seen = both.compare(scene)
    assert seen.client[:2] == [b"HTTP/1.1 200 OK", b"begun"]
    assert ENDED in seen.upstream or seen.upstream[1:] == [begin, end]
