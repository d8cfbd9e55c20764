"""A stand-in for the collector that keeps every byte it is sent, and answers as a test tells it to.

For tests of the plugin alone; `support.collector` runs the real one.
"""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from llmtoken.report import Report, parse_lines
from support.upstream import upstream
from support.wire import Head, Wire

PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Batch:
    """One request as it came."""

    headers: Mapping[str, str]
    body: bytes

    def reports(self) -> list[Report]:
        """Its reports; fails if the real collector would reject one."""
        packed = self.headers.get("content-encoding") == "gzip"
        reports, rejected = parse_lines(gzip.decompress(self.body) if packed else self.body)
        assert not rejected, rejected
        return [report for _, report in reports]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say to a batch. Only reports that are answered with 2xx count as accepted."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


Behaviour = Callable[[Batch], Answer | None]
"""Called with each batch; `None` never answers."""


def accept(_batch: Batch) -> Answer:
    """Take everything."""
    return Answer()


class Recorder:
    """Runs between `with`, on a free port or on that one; `behave` may be set at any time."""

    def __init__(self, behave: Behaviour = accept, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.batches: list[Batch] = []
        """Everything that came, accepted or not."""
        self._wires: set[Wire] = set()
        self._accepted: dict[str, Report] = {}
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._server = upstream(self._serve, port, tls)

    def __enter__(self) -> Self:
        address = self._server.__enter__()
        self.url, self.port = f"{address}/api/report", int(address.rpartition(":")[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.__exit__(kind, error, trace)

    @property
    def connections(self) -> int:
        """How many connections batches came over."""
        return len(self._wires)

    @property
    def raw(self) -> bytes:
        """All bytes of all batches, headers and bodies."""
        return b"".join(json.dumps(dict(batch.headers)).encode() + batch.body for batch in list(self.batches))

    @property
    def reports(self) -> list[Report]:
        """The accepted reports, each once, in order of arrival."""
        with self._changed:
            return list(self._accepted.values())

    def wait_for(self, count: int) -> list[Report]:
        """Wait until so many reports have been accepted, and return all there are."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._accepted) >= count, PATIENCE), (
                f"{len(self._accepted)} of {count} reports came"
            )
            return list(self._accepted.values())

    def wait_for_batches(self, count: int) -> list[Batch]:
        """Wait until so many batches have come, accepted or not."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.batches) >= count, PATIENCE), "no batch came"
            return list(self.batches)

    def _serve(self, wire: Wire, head: Head) -> None:
        batch = Batch(head.headers, wire.read_body(head))
        with self._changed:
            self.batches.append(batch)
            self._wires.add(wire)
            self._changed.notify_all()
        answer = self.behave(batch)
        if answer is None:
            self._ended.wait()
            return
        reports = batch.reports() if answer.status < 300 else []
        body = answer.body
        if body is None:
            body = json.dumps({"status": "ok", "accepted": len(reports), "duplicates": 0, "rejected": []}).encode()
        lines = [f"HTTP/1.1 {answer.status} As told", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        wire.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        with self._changed:
            self._accepted.update({report.request_id or str(time.monotonic()): report for report in reports})
            self._changed.notify_all()
