"""An upstream that sends exactly the bytes that a test gives it, when the test says, and keeps what it got.

HTTP is written by hand here: a library would tidy up what the test is about.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(frozen=True)
class Request:
    """A request as it came: its first line, its headers with lower-case names, its body, and when it was whole."""

    line: str
    headers: dict[str, str]
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

    url: str
    reply: Reply = field(default_factory=lambda: Reply([]))
    requests: list[Request] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)

    def handle(self, connection: socket.socket) -> None:
        """Serve one request."""
        with connection, suppress(ConnectionError):
            with connection.makefile("rb") as stream:
                line, *lines = iter(lambda: stream.readline().strip().decode(), "")
                headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
                chunked = "transfer-encoding" in headers
                body = _unchunk(stream) if chunked else stream.read(int(headers.get("content-length", 0)))
            self.requests.append(Request(line, headers, body, time.monotonic()))
            reply = self.reply
            head = [f"HTTP/1.1 {reply.status}", f"Content-Type: {reply.content_type}", *reply.headers]
            head += ["Transfer-Encoding: chunked", "Connection: close"]
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            for piece in reply.pieces:
                time.sleep(reply.pause)
                self.sent.append(time.monotonic())
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            if not reply.cut:
                connection.sendall(b"0\r\n\r\n")


def _unchunk(stream: BinaryIO) -> bytes:
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


@contextmanager
def running() -> Iterator[Upstream]:
    """Run it on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def accept() -> None:
            with suppress(OSError):  # closed: the test is over
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=upstream.handle, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield upstream
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
