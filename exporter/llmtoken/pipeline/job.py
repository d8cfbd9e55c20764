"""A payload on its way through the pipeline, and the answer that it gets at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llmtoken.call import Call
from llmtoken.ledger import Told
from llmtoken.payload import Content
from llmtoken.reading import Reading
from llmtoken.report import Rejected, Source


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a payload: its readings, each one's call as stored (`None`: it was there), the lines refused.

    `told` says whether its sender's ledger came along and was taken.
    """

    readings: Sequence[Reading]
    stored: Sequence[Call | None]
    rejected: Sequence[Rejected]
    told: bool = False


@dataclass(slots=True)
class Job:
    """One payload: `reports` and `size` are what it takes of the queue's bounds."""

    parse: Callable[[], Content]
    size: int
    answer: asyncio.Future[Outcome]
    loop: asyncio.AbstractEventLoop
    reports: int = 1
    readings: list[Reading] = field(default_factory=list)
    rejected: Sequence[Rejected] = ()
    ledger: Source | None = None

    def told(self) -> Told | None:
        """What its sender says of itself, if it is a plugin of ours."""
        sources = [reading.report.source for reading in self.readings if reading.report.source is not None]
        return (sources, self.ledger) if sources or self.ledger is not None else None

    def outcome(self, stored: Sequence[Call | None]) -> Outcome:
        """What became of it."""
        return Outcome(self.readings, stored, self.rejected, told=self.ledger is not None)


Result = tuple[Job, Outcome | Exception]


def answer(finished: Sequence[Result]) -> None:
    """Answer jobs, in the loop that waits for them."""
    for job, result in finished:
        if job.answer.cancelled():  # the client left; its rows are committed all the same
            continue
        if isinstance(result, Exception):
            job.answer.set_exception(result)
        else:
            job.answer.set_result(result)
