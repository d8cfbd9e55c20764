"""Connections: how many there may be, and how long one may take to say what it wants.

uvicorn waits for a request for as long as somebody keeps a connection open; a few hundred who
say a byte now and then would keep everybody else out. Here a request's head has a time, its body
a least speed, and where connections run out, whoever has most of them loses the one that has been
waiting longest. Must not know requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llmtoken.guard.outgoing import AtOnce
from llmtoken.guard.throttle import network

log = logging.getLogger(__name__)

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

_SPARE_FILES = 256
"""Files that are open besides connections: the database's, logs, libraries."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`connections` at a time, `per_client` of them from one; seconds for a request's head; a body's least speed."""

    connections: int = 1000
    per_client: int = 250
    head_seconds: float = 15.0
    body_seconds: float = 15.0
    body_bytes: int = 4096
    """What must have come of a body within `body_seconds`, each time anew."""


def guarded(limits: Limits) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol with these limits, which all connections share that are made of it."""
    house = _House(limits)

    class Guarded(_Guarded):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.house = house

    return Guarded


def make_room(connections: int) -> None:
    """Let this process hold so many connections open, as far as the system allows."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _House:
    """All connections by client, and those that are waiting for their request, the longest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: Counter[str] = Counter()
        self._waiting: dict[str, OrderedDict[_Guarded, None]] = {}

    def enter(self, guest: _Guarded) -> bool:
        """Let a connection in; whether there is room, or another one was in the way that could go."""
        client = guest.house_client
        room = self._open[client] < self.limits.per_client or self._send_away(client)
        if room and self._open.total() >= self.limits.connections:
            room = self._send_away(self._open.most_common(1)[0][0])
        if not room:
            return False
        self._open[client] += 1
        return True

    def leave(self, guest: _Guarded) -> None:
        client = guest.house_client
        self._open[client] -= 1
        if self._open[client] <= 0:
            del self._open[client]
        self.works(guest)

    def waits(self, guest: _Guarded) -> None:
        waiting = self._waiting.setdefault(guest.house_client, OrderedDict())
        waiting.setdefault(guest)

    def works(self, guest: _Guarded) -> None:
        waiting = self._waiting.get(guest.house_client)
        if waiting is not None:
            waiting.pop(guest, None)
            if not waiting:
                del self._waiting[guest.house_client]

    def _send_away(self, client: str) -> bool:
        waiting = self._waiting.get(client)
        if not waiting:
            return False
        next(iter(waiting)).cut("there are too many connections", politely=False)
        return True


class _Guarded(HttpToolsProtocol):
    """Every request has a deadline for its head, then for each piece of its body.

    Requests set it and take it back without a timer each: the one that is running looks, when it rings, whether there
    is a deadline now and when, and rings again then.
    """

    house: _House
    house_client = ""
    _inside = False
    _timer: asyncio.TimerHandle | None = None
    _deadline: float | None = None
    _body = False
    _body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.house_client = network(self.client[0]) if self.client else ""
        self._inside = self.house.enter(self)
        if not self._inside:
            log.debug("A connection of %s is refused: there are too many", self.house_client)
            transport.abort()
            return
        self.transport = AtOnce(transport, self.loop)  # type: ignore[assignment]
        self.house.waits(self)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._expect_body()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._deadline = None
        self.house.works(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._inside:
            self.house.waits(self)  # for its next request; uvicorn's own timer ends that

    def cut(self, why: str, *, politely: bool) -> None:
        """End the connection, and its place is free at once."""
        log.debug("A connection of %s is cut: %s", self.house_client, why)
        self._left()
        if self.transport.is_closing():
            return
        if politely:
            self.transport.write(_TIMEOUT)
            self.transport.close()
        else:
            self.transport.abort()

    def _left(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
        if self._inside:
            self._inside = False
            self.house.leave(self)

    # ── Deadlines ───────────────────────────────────────────────────────────────────────

    def _expect_head(self) -> None:
        self._body = False
        self._expect(self.house.limits.head_seconds)

    def _expect_body(self) -> None:
        self._body, self._body_bytes = True, 0
        self._expect(self.house.limits.body_seconds)

    def _expect(self, seconds: float) -> None:
        if self._inside:
            self._deadline = self.loop.time() + seconds
            if self._timer is None or self._timer.when() > self._deadline:
                self._rings_at(self._deadline)

    def _rings_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._deadline > self.loop.time():
            self._rings_at(self._deadline)
        elif not self._body:
            self.cut("its request has not come in time", politely=True)
        elif self._body_bytes < self.house.limits.body_bytes and not self.flow.read_paused:
            self.cut("its request's body comes too slowly", politely=False)
        else:
            self._expect_body()
