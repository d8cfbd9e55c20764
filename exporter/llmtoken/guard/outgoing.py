"""What goes out: what is written in one turn of the event loop, in one piece.

uvicorn writes the head of an answer and its content one after the other, and uvloop sends each at once: two calls of
the system here, two packets, and a client that wakes twice. Must not know HTTP.
"""

from __future__ import annotations

import asyncio

_PATIENCE = 65536
"""Bytes that don't wait for the end of the turn: an answer without end must not gather here."""


class AtOnce:
    """A transport, as far as an answer needs one, that sends a little later and all together."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send this by the end of the turn."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _PATIENCE:
            self._flush()

    def close(self) -> None:
        """End the connection when all is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        self._pieces.clear()
        self._transport.abort()

    def _flush(self) -> None:
        if self._pieces and not self._transport.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces.clear()
        self._size = 0
