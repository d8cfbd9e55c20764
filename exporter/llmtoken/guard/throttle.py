"""How often a client may do something: a bucket of turns for each, refilled at a steady rate.

A client is an address, or an IPv6 network, of which one customer has 2^64 addresses. Behind a
proxy all clients are one. Must not know what the turns are for.
"""

from __future__ import annotations

import ipaddress
import json
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

_CLIENTS = 10_000
"""Clients that are remembered; of more, the one not seen for longest is forgotten."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Throttle:
    """Up to `burst` turns at once, `rate` a second on the whole. For one thread."""

    def __init__(
        self, rate: float, burst: float, *, clients: int = _CLIENTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst = rate, burst
        self._clients, self._clock = clients, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until this client has a turn; 0 when it has one now."""
        missing = 1 - self._turns(client)
        return missing / self._rate if missing > 0 else 0.0

    def take(self, client: str) -> float:
        """Take a turn, or say how many seconds there is none."""
        turns = self._turns(client)
        if turns < 1:
            return (1 - turns) / self._rate
        self._left[client] = turns - 1, self._clock()
        self._left.move_to_end(client)
        if len(self._left) > self._clients:
            self._left.popitem(last=False)
        return 0.0

    def _turns(self, client: str) -> float:
        left, at = self._left.get(client, (self._burst, 0.0))
        return min(self._burst, left + (self._clock() - at) * self._rate)


class Throttled:
    """An ASGI application whose clients are throttled, but for some paths; who comes too often is told when to come."""

    def __init__(self, app: App, throttle: Throttle, *, but: Collection[str]) -> None:
        self._app, self._throttle, self._but = app, throttle, but

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in self._but:
            await self._app(scope, receive, send)
        elif wait := self._throttle.take(client_of(scope)):
            error = {"status": "error", "error": "Too many requests", "hint": "come again after Retry-After"}
            headers = [(b"content-type", b"application/json"), (b"retry-after", str(math.ceil(wait)).encode())]
            await send({"type": "http.response.start", "status": 429, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(error).encode()})
        else:
            await self._app(scope, receive, send)


def client_of(scope: Scope) -> str:
    """Who is asking; what no address is behind is all one."""
    return network(scope["client"][0] if scope.get("client") else "")


def network(host: str) -> str:
    """The client that an address belongs to."""
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.IPv6Network((address, 64), strict=False))
