"""An upstream that sends exactly the bytes that a test gives it, when the test says, and keeps what it got."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.upstream import upstream
from support.wire import Head, Wire


@dataclass(frozen=True)
class Request:
    """A request as it came: its head, its body, and when it was whole."""

    head: Head
    body: bytes
    arrived: float


@dataclass(frozen=True)
class Reply:
    """What to send: a status line, headers, and pieces, each as an HTTP chunk after a pause in seconds."""

    pieces: Sequence[bytes]
    content_type: str = "text/event-stream"
    status: str = "200 OK"
    headers: Sequence[str] = ()
    pause: float = 0.0
    cut: bool = False
    """Close the connection after the last piece without ending the reply."""


@dataclass
class Upstream:
    """The server: what it will say, what it was asked, and when each piece was about to be sent."""

    url: str = ""
    reply: Reply = field(default_factory=lambda: Reply([]))
    requests: list[Request] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)

    def serve(self, wire: Wire, head: Head) -> None:
        """Answer one request, and end its connection."""
        self.requests.append(Request(head, wire.read_body(head), time.monotonic()))
        reply = self.reply
        lines = [f"HTTP/1.1 {reply.status}", f"Content-Type: {reply.content_type}", *reply.headers]
        lines += ["Transfer-Encoding: chunked", "Connection: close"]
        wire.send("\r\n".join([*lines, "", ""]).encode())
        for piece in reply.pieces:
            time.sleep(reply.pause)
            self.sent.append(time.monotonic())
            wire.send_chunk(piece)
        if not reply.cut:
            wire.send_chunk(b"")
        wire.close()


@contextmanager
def running() -> Iterator[Upstream]:
    """Run it on a free port."""
    server = Upstream()
    with upstream(server.serve) as server.url:
        yield server
