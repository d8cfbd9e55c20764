"""The replay itself: batches from a source to a destination, several on their way, and the account of it.

Holds a few batches at a time, however long the source is. Must not know what either of them is.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from llmtoken.replay.destinations import Destination, Taken
from llmtoken.replay.sources import Item, Source

BATCH_BYTES = 4 * 1024 * 1024
"""A batch is sent when it has so many bytes, even if it has few reports."""

MOST_ERRORS = 100
"""What was wrong is told of so many items; of further ones only that they were rejected."""


@dataclass(slots=True)
class Summary:
    """What became of everything that was read. `read` = `new` + `duplicates` + `rejected` at the end.

    The counters are of new calls; they are `None` where only the collector knows them.
    """

    read: int = 0
    new: int = 0
    duplicates: int = 0
    rejected: int = 0
    seconds: float = 0.0
    tokens: Counter[str] | None = None
    usage_sources: Counter[str] | None = None
    problems: Counter[str] | None = None
    errors: list[tuple[str, str]] = field(default_factory=list)
    """The place of each item that was rejected, and what was wrong: the first `MOST_ERRORS`."""

    def reject(self, place: str, error: str) -> None:
        """Note an item that isn't taken."""
        self.rejected += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append((place, error))

    def add(self, batch: _Batch, taken: Taken) -> None:
        """Note what became of a batch."""
        self.new += taken.new
        self.duplicates += taken.duplicates
        for index, error in taken.rejected:
            self.reject(batch.items[index].place, error)
        self.tokens = _sum(self.tokens, taken.tokens)
        self.usage_sources = _sum(self.usage_sources, taken.usage_sources)
        self.problems = _sum(self.problems, taken.problems)


def replay(
    source: Source,
    opening: AbstractAsyncContextManager[Destination],
    *,
    batch_reports: int,
    advanced: Callable[[Summary], None],
) -> Summary:
    """Take everything from `source` to the destination. `advanced` is called after each batch.

    Raises the errors of both. What had been taken before then stays, and another run skips it.
    """
    return asyncio.run(_replay(source, opening, batch_reports, advanced))


async def _replay(
    source: Source,
    opening: AbstractAsyncContextManager[Destination],
    batch_reports: int,
    advanced: Callable[[Summary], None],
) -> Summary:
    summary = Summary()
    began = time.monotonic()
    async with opening as destination:
        summary.add(_Batch(), destination.nothing)
        under_way: set[asyncio.Task[None]] = set()

        async def put(batch: _Batch) -> None:
            taken = await destination.put([item.report for item in batch.items if item.report], batch.size)
            summary.add(batch, taken)

        try:
            for batch in _batches(source, batch_reports, summary):
                if batch.items:
                    under_way.add(asyncio.create_task(put(batch)))
                while len(under_way) >= destination.parallel:
                    under_way = await _next_done(under_way)
                summary.seconds = time.monotonic() - began
                advanced(summary)
            while under_way:
                under_way = await _next_done(under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
    summary.seconds = time.monotonic() - began
    advanced(summary)
    return summary


async def _next_done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait for one task or more; returns those that go on. Raises what a task raised."""
    done, going_on = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return going_on


@dataclass(slots=True)
class _Batch:
    items: list[Item] = field(default_factory=list)
    size: int = 0


def _batches(source: Source, most: int, summary: Summary) -> Iterator[_Batch]:
    """The good ones of every `most` items; the others go to the summary's account at once."""
    batch = _Batch()
    for item in source:
        summary.read += 1
        if item.report is None:
            summary.reject(item.place, item.error)
        else:
            batch.items.append(item)
            batch.size += item.size
        if summary.read % most == 0 or batch.size >= BATCH_BYTES:
            yield batch
            batch = _Batch()
    yield batch


def _sum(so_far: Counter[str] | None, more: Counter[str] | None) -> Counter[str] | None:
    return more if so_far is None else so_far + (more or Counter())
