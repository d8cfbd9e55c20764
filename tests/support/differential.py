"""The same exchange down the tapped and the plain route of one Traefik, and what each side saw of it.

Traefik itself changes what passes (hop-by-hop headers, chunk boundaries, `X-Forwarded-*`), so nothing is compared
with what was sent, but with what comes of it where the plugin isn't.

    def scene(notes: Notes) -> Scene:
        def upstream(wire: Wire, head: Head) -> None:
            notes.append(wire.read_body(head))
            wire.send(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")

        def client(wire: Wire) -> list[bytes]:
            wire.send(request("POST", "/", "Content-Length: 2", "Connection: close") + b"hi")
            return dissect(wire.read_all())

        return upstream, client

    seen = routes.compare(scene)

A scene is made anew for each exchange, so it may hold what happens only once. What the upstream notes belongs to
what is compared, and so does the head of each request that it gets. Plain Traefik now and then cuts a reply to a POST
short (docs/adr/plugin-data-path.md), so the plain route has several tries to show what the tapped one showed at once
(`plainly`). What can be asked for with a GET needs none.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from support.collector import wait_for
from support.stage import Stage, theatre
from support.upstream import Script
from support.wire import Head, Wire

Notes = list[bytes]
Client = Callable[[Wire], list[bytes]]
Scene = tuple[Script, Client]
T = TypeVar("T")

_numbers = itertools.count()
"""Each exchange has an address of its own on this machine, by which the upstream tells whose request it gets."""

ENDED = b"the connection ended"
CONTINUE = b"HTTP/1.1 100 Continue"
"""Said once or twice: the server asks for the body itself while the proxy passes on that the upstream did."""
TRIES = 6
PATIENCE = 30
SETTLED = 0.3
"""Seconds without a change after which plain Traefik has passed on what it will: it waits 0.2 s itself for a body."""


@dataclass(frozen=True)
class Seen:
    """All that the client got and all that the upstream got, without what must differ."""

    client: list[bytes]
    upstream: list[bytes]


class Routes:
    """The two routes. As the upstream behind both it plays the scene that is on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._script: Script | None = None
        self._notes: Notes = []
        self._source = ""
        self._playing = 0
        self._stage: Stage | None = None

    @property
    def stage(self) -> Stage:
        assert self._stage
        return self._stage

    def set(self, stage: Stage) -> None:
        self._stage = stage

    def __call__(self, wire: Wire, head: Head) -> None:
        with self._changed:
            script, notes, source = self._script, self._notes, self._source
            if source not in head.headers.get("x-forwarded-for", source):
                raise EOFError  # of an exchange whose client has long had its answer, and Traefik still tried
            self._playing += 1
        assert script, f"nobody plays, but {head.start} came"
        notes.append(without_port(head.raw).replace(source.encode(), b"the client"))
        try:
            script(wire, head)
        except (OSError, EOFError):
            notes.append(ENDED)
            raise
        finally:
            with self._changed:
                self._playing -= 1
                self._changed.notify_all()

    def see(self, url: str, scene: Callable[[Notes], Scene], **options: Any) -> Seen:
        """The exchange on one route, once both sides have played their parts."""
        notes: Notes = []
        script, client = scene(notes)
        number = next(_numbers)
        with self._changed:
            self._script, self._notes = script, notes
            self._source = f"127.1.{number // 250}.{number % 250 + 1}"
        wire = Wire.to(url, source=self._source, **options)
        try:
            got = client(wire)
        finally:
            wire.close()
        with self._changed:
            assert self._changed.wait_for(lambda: not self._playing, PATIENCE), "the upstream never came to its end"
        return Seen(got, notes)

    def compare(self, scene: Callable[[Notes], Scene], **options: Any) -> Seen:
        """What both routes showed; fails if they differ."""
        tapped = self.see(self.stage.traefik.url, scene, **options)
        plain = plainly(lambda: self.see(self.stage.traefik.plain_url, scene, **options), tapped)
        assert plain == tapped, f"with the plugin\n{_short(tapped)}\nand without it\n{_short(plain)}"
        return tapped

    def report(self, path: str) -> Any:
        """The one report with this path; waits for it."""
        reports = wait_for(lambda: [report for report in self.stage.collector.reports if report.path == path])
        assert len(reports) == 1
        return reports[0]


def plainly(see: Callable[[], T], tapped: T) -> T:
    """What the plain route shows in one of its tries, which is what the tapped one showed, or else in its last."""
    for _ in range(TRIES):
        if (plain := see()) == tapped:
            break
    return plain


@contextmanager
def routes(folder: Path, **settings: Any) -> Iterator[Routes]:
    """Both routes on a stage with these settings."""
    routes = Routes()
    with theatre(folder) as set_stage:
        routes.set(set_stage(routes, **settings))
        yield routes


def _short(seen: Seen) -> str:
    return "\n".join(f"  {who}: {[part[:1000] for part in getattr(seen, who)]}" for who in ("client", "upstream"))


def without_port(head: bytes) -> bytes:
    """A request's head without the one header that tells the entry points apart."""
    return re.sub(rb"X-Forwarded-Port: \d+\r\n", b"", head)


def dissect(raw: bytes, *, framed: bool = True) -> list[bytes]:
    """The heads of a reply, its body without framing, and what follows; a chunked body that was cut says so.

    `framed=False` leaves the framing out of the comparison.
    """
    parts = []
    while True:
        head, _, raw = raw.partition(b"\r\n\r\n")
        ignored = rb"\r\nDate: [^\r]+" if framed else rb"\r\n(Date|Content-Length|Transfer-Encoding): [^\r]+"
        if head != CONTINUE or CONTINUE not in parts:
            parts.append(re.sub(ignored, b"", head))
        if not re.match(rb"HTTP/1.1 1\d\d", head):
            break
    if b"\r\nTransfer-Encoding: chunked" not in head:
        return [*parts, raw, b"\r\n"]
    body, at = bytearray(), 0
    while at < len(raw):
        line_end = raw.index(b"\r\n", at)
        size, at = int(raw[at:line_end], 16), line_end + 2
        if size == 0:
            return [*parts, bytes(body), raw[at:]]
        body += raw[at : at + size]
        at += size + 2
    return [*parts, bytes(body), b"cut"]


def settled(read: Callable[[], int]) -> int:
    """The number once it has stopped growing."""
    before, since = read(), time.monotonic()
    while time.monotonic() - since < SETTLED:
        time.sleep(0.01)
        if (now := read()) != before:
            before, since = now, time.monotonic()
    return before
