"""Where replayed reports go: through a pipeline of our own into a database, or to a running collector.

Both take a batch and say what became of each report. Must not know what was recorded or how.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import httpx
import msgspec

from llmtoken import audit
from llmtoken.config import Settings
from llmtoken.errors import QueueFull, ReplayError, StorageUnavailable, Unauthorized
from llmtoken.metrics import Metrics
from llmtoken.payload import Content
from llmtoken.pipeline import Outcome, Pipeline
from llmtoken.report import Report

PATIENCE = 300.0
"""How long a collector may be away or refuse because it is full, in seconds, before we give up."""


@dataclass(slots=True)
class Taken:
    """What became of a batch. `rejected` has the index of each report that was refused, and why.

    The counters are of the new ones: tokens by the audit's column, calls by `usage_source`,
    problems by name. They are `None` where only the collector knows them.
    """

    new: int = 0
    duplicates: int = 0
    rejected: list[tuple[int, str]] = field(default_factory=list)
    tokens: Counter[str] | None = None
    usage_sources: Counter[str] | None = None
    problems: Counter[str] | None = None


class Destination(Protocol):
    """Takes batches, several at once up to `parallel`."""

    parallel: int
    nothing: Taken
    """What became of no batch at all."""

    async def put(self, reports: Sequence[Report], size: int) -> Taken:
        """Returns when the reports are committed. Raises our own errors when none can be taken any more."""


def destination(to: str | None, settings: Settings) -> AbstractAsyncContextManager[Destination]:
    """Open where `to` points: the URL of a collector, or a database (the configured one without `to`)."""
    if to is not None and to.startswith(("http://", "https://")):
        return _collector(to, settings)
    return _database(to or settings.database, settings)


# ── A database ──────────────────────────────────────────────────────────────────────────

TOKENS = ("input_tokens", "output_tokens", "total_tokens")


@asynccontextmanager
async def _database(database: str, settings: Settings) -> AsyncIterator[Destination]:
    """The very pipeline that a collector runs, on `database`; what it counts is seen in the database alone."""
    # Under counters of its own: those of a collector may only move by what it took itself.
    store = audit.open(database, instance="replay", seals=settings.seals, seal_keys=settings.seal_keys)
    metrics = Metrics(
        max_models=settings.max_models, max_consumers=settings.max_consumers, instance=store.instance, push=False
    )
    pipeline = Pipeline(settings, store, metrics)
    pipeline.start()
    try:
        yield _Database(pipeline, parallel=settings.workers + 1)
    finally:
        pipeline.stop()  # finishes what it has taken, also when we are interrupted
        metrics.close()
        store.close()


class _Database:
    def __init__(self, pipeline: Pipeline, *, parallel: int) -> None:
        self.parallel = parallel
        self.nothing = _taken(Outcome([], [], []))
        self._pipeline = pipeline

    async def put(self, reports: Sequence[Report], size: int) -> Taken:
        while True:
            try:
                outcome = await self._pipeline.submit(lambda: Content(reports, [], size), size)
            except QueueFull:  # a batch or two of ours are on their way: there soon is room
                await asyncio.sleep(0.01)
            else:
                return _taken(outcome)


def _taken(outcome: Outcome) -> Taken:
    new = [(reading, call) for reading, call in zip(outcome.readings, outcome.stored, strict=True) if call is not None]
    calls = [call for _, call in new]
    return Taken(
        new=len(new),
        duplicates=len(outcome.readings) - len(new),
        tokens=Counter({name: sum(getattr(call, name) or 0 for call in calls) for name in TOKENS}),
        usage_sources=Counter(call.usage_source for call in calls),
        problems=Counter(problem for reading, _ in new for problem in reading.problems),
    )


# ── A collector ─────────────────────────────────────────────────────────────────────────

_ROUTE = "/api/report"
_TIMEOUT = 60.0
_LONGEST_WAIT = 60.0


@asynccontextmanager
async def _collector(url: str, settings: Settings) -> AsyncIterator[Destination]:
    token = min(settings.tokens, default=None)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        address = httpx.URL(url.rstrip("/").removesuffix(_ROUTE) + _ROUTE)
    except httpx.InvalidURL as error:
        raise ReplayError(f"{url} isn't a URL: {error}", hint="such as http://127.0.0.1:8000") from error
    async with httpx.AsyncClient(headers=headers, timeout=_TIMEOUT) as client:
        yield _Collector(client, address)


class _Collector:
    parallel = 2
    """One batch is on its way while the collector commits the other."""

    def __init__(self, client: httpx.AsyncClient, url: httpx.URL) -> None:
        self.nothing = Taken()
        self._client, self._url = client, url
        self._reached = False

    async def put(self, reports: Sequence[Report], size: int) -> Taken:
        answer = await self._post(b"\n".join(map(msgspec.json.encode, reports)))
        if answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(reports) > 1:
            half = len(reports) // 2
            first, second = await self.put(reports[:half], size // 2), await self.put(reports[half:], size // 2)
            return Taken(
                new=first.new + second.new,
                duplicates=first.duplicates + second.duplicates,
                rejected=[*first.rejected, *((half + index, error) for index, error in second.rejected)],
            )
        said = _json(answer)
        if answer.status_code == HTTPStatus.OK and "accepted" in said:
            return Taken(said["accepted"], said["duplicates"], _rejected(said))
        if "rejected" in said:  # a batch without any good report
            return Taken(rejected=_rejected(said))
        if answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Taken(rejected=[(0, said.get("error", "too large for the collector"))])
        raise ReplayError(
            f"{self._url} answers {answer.status_code}: {said.get('error', answer.text[:200])}",
            hint=said.get("hint", "is that a collector of llmtoken?"),
        )

    async def _post(self, content: bytes) -> httpx.Response:
        """The collector's answer, after waiting as long as it asks when it is full, or is away for a while."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                answer = await self._client.post(
                    self._url, content=content, headers={"content-type": "application/x-ndjson"}
                )
            except httpx.TransportError as error:
                if not self._reached or time.monotonic() > give_up:
                    raise ReplayError(
                        f"Can't reach {self._url}: {error}",
                        hint="is the collector running there? Run it again then: nothing is counted twice",
                    ) from error
                await asyncio.sleep(1.0)
                continue
            self._reached = True
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                raise Unauthorized(f"{self._url} asks for a token", hint="set LLMTOKEN_TOKEN to the collector's")
            if answer.status_code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
                return answer
            if time.monotonic() > give_up:
                raise StorageUnavailable(
                    f"{self._url} has taken nothing for {PATIENCE:.0f} s: {_json(answer).get('error', '')}",
                    hint="look at its log, then run this again: nothing is counted twice",
                )
            await asyncio.sleep(_wait(answer))


def _wait(answer: httpx.Response) -> float:
    try:
        return min(max(float(answer.headers["retry-after"]), 0.1), _LONGEST_WAIT)
    except (KeyError, ValueError):
        return 1.0


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _rejected(said: dict[str, Any]) -> list[tuple[int, str]]:
    return [(refused["line"], refused["error"]) for refused in said["rejected"]]
