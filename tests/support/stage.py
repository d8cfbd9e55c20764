"""The stage of the plugin's tests: a scripted upstream, real Traefik with the plugin, a recording collector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.recorder import Recorder
from support.traefik import Traefik
from support.upstream import Script, upstream
from support.wire import Head, Wire

SMALL = b'{"choices":[]}'


@dataclass(frozen=True)
class Stage:
    """What a test plays on."""

    traefik: Traefik
    collector: Recorder
    _stack: ExitStack

    def connect(self, url: str | None = None) -> Wire:
        """Connect to the tapped route, or to that URL."""
        wire = Wire.to(url or self.traefik.url)
        self._stack.callback(wire.close)
        return wire

    def post(self, body: bytes = b"{}", *lines: str, path: str = "/v1/chat/completions") -> Wire:
        """Send a POST down the tapped route and return the wire, to read the answer from."""
        wire = self.connect()
        wire.send(request("POST", path, f"Content-Length: {len(body)}", *lines) + body)
        return wire


SetStage = Callable[..., Stage]


def request(method: str, path: str, *lines: str) -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: models.example", *lines, "", ""]).encode("latin-1")


def reply(wire: Wire, head: Head) -> None:
    """Answer with something small, as an upstream's whole script."""
    wire.read_body(head)
    wire.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL)
    )


@contextmanager
def theatre(folder: Path) -> Iterator[SetStage]:
    """Gives `set_stage(script, collector=…, static=…, dynamic=…, environment=…, **middleware)`, and clears up.

    A collector that is given has been started by the test, or is not to be started at all.
    """
    with ExitStack() as stack:

        def set_stage(script: Script = reply, *, collector: Recorder | None = None, **settings: Any) -> Stage:
            options = {name: settings.pop(name) for name in ("static", "dynamic", "environment") if name in settings}
            recorder = collector or stack.enter_context(Recorder())
            url = stack.enter_context(upstream(script))
            middleware = {"apiurl": recorder.url, "flushInterval": "10ms", **settings}
            traefik = stack.enter_context(Traefik(folder, upstream=url, middleware=middleware, **options))
            return Stage(traefik, recorder, stack)

        yield set_stage
