"""HTTP/1.1 by hand, over a plain socket: for tests that must see which byte came when."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Head:
    """The start line and the headers of a message; names are lower case, repeated ones are joined."""

    start: str
    headers: dict[str, str]
    raw: bytes

    @property
    def status(self) -> int:
        return int(self.start.split()[1])

    @property
    def method(self) -> str:
        return self.start.split()[0]

    @property
    def target(self) -> str:
        return self.start.split()[1]


class Wire:
    """One end of a connection. Reading waits up to `PATIENCE` seconds, then raises `TimeoutError`."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._buffer = bytearray()

    @classmethod
    def to(cls, url: str, *, source: str = "", receive_buffer: int | None = None) -> Wire:
        """Connect to the host and port of a URL, from this address.

        With a small buffer, what isn't read soon holds up the sender.
        """
        parts = urlsplit(url)
        connection = socket.socket()
        connection.settimeout(PATIENCE)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)  # counts only if set before
        if source:
            connection.bind((source, 0))
        connection.connect((parts.hostname, parts.port or 80))
        return cls(connection)

    def set_patience(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body; an empty one is the last."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def send_what_fits(self, data: bytes | memoryview) -> int:
        """Send as much as the other side takes without waiting for it; how much that was."""
        self._socket.setblocking(False)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        finally:
            self._socket.settimeout(PATIENCE)

    def end(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def read_until(self, end: bytes) -> bytes:
        """Read up to and with `end`."""
        while end not in self._buffer:
            self._more()
        return self._take(self._buffer.index(end) + len(end))

    def read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        return self._take(count)

    def read_some(self, most: int = 65536) -> bytes:
        """What has come, at least a byte; empty at the end."""
        if not self._buffer:
            return self._socket.recv(most)
        return self._take(min(most, len(self._buffer)))

    def read_all(self) -> bytes:
        """Everything up to the end of the connection."""
        parts = []
        while part := self.read_some():
            parts.append(part)
        return b"".join(parts)

    def read_rest(self) -> bytes:
        """Everything until the other side has gone, however it went."""
        parts = []
        with suppress(ConnectionError):
            while part := self.read_some():
                parts.append(part)
        return b"".join(parts)

    def read_head(self) -> Head:
        raw = self.read_until(b"\r\n\r\n")
        start, *lines = raw.decode("latin-1").rstrip().split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name = name.lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        return Head(start, headers, raw)

    def read_chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end, with the trailers still to be read."""
        size = int(self.read_until(b"\r\n"), 16)
        return self.read_exactly(size + 2)[:-2] if size else b""

    def read_body(self, head: Head) -> bytes:
        """The whole body of a request, or of a reply that has one."""
        if head.headers.get("transfer-encoding") == "chunked":
            chunks = []
            while chunk := self.read_chunk():
                chunks.append(chunk)
            self.read_until(b"\r\n")
            return b"".join(chunks)
        return self.read_exactly(int(head.headers.get("content-length", "0")))

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Close as a crash does, with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError(f"the connection ended after {self._buffer!r}")
        self._buffer += data

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data
