"""The loss ledger: what plugins say of themselves, turned into what is lost and what is missing.

Every report carries its sequence number and its plugin's running totals since that plugin's
boot, and every batch the plugin's ledger at the time of sending. Batches are retried and overtake
each other, so all of it may arrive twice or late. *Lost* is what a plugin accounts for itself;
*missing* is a number that was given out, did not arrive, and is not accounted for.

Why so: docs/adr/loss-ledger.md.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llmtoken.metrics.gaps import Gaps
from llmtoken.metrics.losses import DROPPED, FAILED, QUEUE_FULL, Losses
from llmtoken.report import Source

REMEMBERED = 1024
"""Boots that are kept; the ones unheard of for longest go first."""

GRACE = 300.0
"""Seconds that a report may be on its way before it is missing.

A plugin pauses no longer between two attempts, even when it is asked to (`maxRetryAfter`): what
it still has was offered again in this time.
"""

_STEPS = 10
"""How finely the past is remembered: a gap is noticed up to a tenth of the grace time late."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """What was known of a boot at one time: how many exchanges it had, how many of them were lost."""

    time: float
    highest: int
    lost: int
    queue_full: int = 0


@dataclass(slots=True)
class _Boot:
    """One boot of a plugin."""

    dropped: Losses = field(default_factory=lambda: Losses(DROPPED))
    failed: Losses = field(default_factory=lambda: Losses(FAILED))
    gaps: Gaps | None = None
    marks: list[_Mark] = field(default_factory=list)
    missing: int = 0
    first: _Mark = _Mark(0.0, 0, 0)
    first_open: int = 0
    """How many numbers up to the first mark are open."""

    @property
    def lost(self) -> int:
        return self.dropped.total + self.failed.total


class Ledger:
    """All boots that were heard of; any thread may tell or ask.

    A boot never seen before counts its losses whole: they happened, perhaps while we were down.
    So after a restart of the collector the losses of plugins that still run count again,
    from zero, like every counter does. Its numbers are followed from the first that we see.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._boots: OrderedDict[str, _Boot] = OrderedDict()
        self._lock = threading.Lock()
        self._missing = 0
        self._late = 0

    def told(self, reported: Sequence[Source], current: Source | None = None) -> tuple[Counter[str], Counter[str]]:
        """Take what came with committed reports, and the sender's ledger at the time of sending.

        Returns what this adds to (dropped, failed), by reason. Who has no boot id can't be told apart
        from others, and is left out.
        """
        dropped: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        with self._lock:
            for name, sources in _by_boot(reported).items():
                self._take(name, sources, current if current and current.boot == name else None, dropped, failed)
            if current and current.boot and all(source.boot != current.boot for source in reported):
                self._take(current.boot, [], current, dropped, failed)
        return dropped, failed

    def missing_and_late(self) -> tuple[int, int]:
        """How many reports have been found missing so far, and how many of them turned up after all.

        The difference is what is missing now. Looks at the clock: a gap is found missing without news.
        """
        with self._lock:
            now = self._clock()
            for boot in self._boots.values():
                self._settle(boot, now)
            return self._missing, self._late

    def _take(
        self, name: str, sources: Sequence[Source], current: Source | None, dropped: Counter[str], failed: Counter[str]
    ) -> None:
        now = self._clock()
        boot = self._boots.setdefault(name, _Boot())
        self._boots.move_to_end(name)
        self._settle(boot, now)
        for source in (*sources, current) if current else sources:
            if source.dropped > boot.dropped.total:
                dropped.update(boot.dropped.told(source.dropped, source.dropped_by))
            if source.failed > boot.failed.total:
                failed.update(boot.failed.told(source.failed, source.failed_by))
        _follow(boot, [source.sequence for source in sources if source.sequence], current, now)
        self._settle(boot, now)
        if len(self._boots) > REMEMBERED:
            self._boots.popitem(last=False)

    def _settle(self, boot: _Boot, now: float) -> None:
        """Compare what is missing with what was found missing before.

        What is open is first of all explained by the losses. Losses told of after the mark may belong to
        numbers from before it, or to younger ones, and then would explain a gap only until those are old
        too. So they keep a gap from being found missing, but don't make a missing one explained yet.
        What found the queue full was lost as its number was given out, so it is younger for sure.
        """
        mark = next((mark for mark in reversed(boot.marks) if mark.time <= now - GRACE), None)
        if mark is None or boot.gaps is None:
            return
        still_open = boot.gaps.open(up_to=mark.highest)
        earlier = max(0, boot.first.lost - boot.first_open)
        younger = boot.dropped.counted[QUEUE_FULL] - mark.queue_full
        least = max(0, still_open - (boot.lost - younger - earlier))
        most = max(0, still_open - (mark.lost - earlier))
        missing = min(max(boot.missing, least), most)
        self._missing += max(0, missing - boot.missing)
        self._late += max(0, boot.missing - missing)
        boot.missing = missing


def _by_boot(sources: Sequence[Source]) -> dict[str, list[Source]]:
    """The sources of each boot: a batch may carry what earlier processes left behind."""
    boots: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if source.boot:
            boots[source.boot].append(source)
    return boots


def _follow(boot: _Boot, arrived: Sequence[int], current: Source | None, now: float) -> None:
    """Strike off the numbers that arrived, and note what is known now."""
    given_out = current.sequence if current else 0
    if boot.gaps is None:
        if not arrived and not given_out:
            return
        boot.gaps = Gaps(min(arrived) - 1 if arrived else given_out)
    for sequence in arrived:
        if boot.gaps.arrived(sequence) and sequence <= boot.first.highest:
            boot.first_open -= 1
    boot.gaps.expect(given_out)
    if not boot.marks:
        # Of the losses before us we know only from the ledger itself: a report's totals may be
        # ahead of its number. They explain what was open then, and the rest was before our time.
        boot.first = _Mark(now, boot.gaps.highest, current.dropped + current.failed if current else 0)
        boot.first_open = boot.gaps.open(up_to=boot.gaps.highest)
    _note(boot.marks, _Mark(now, boot.gaps.highest, boot.lost, boot.dropped.counted[QUEUE_FULL]))


def _note(marks: list[_Mark], mark: _Mark) -> None:
    """Add a mark. The latest one moves along until it is a step away from the one before."""
    if len(marks) > 1 and marks[-1].time - marks[-2].time < GRACE / _STEPS:
        marks[-1] = mark
    else:
        marks.append(mark)
    while len(marks) > 1 and marks[1].time <= mark.time - GRACE:
        del marks[0]
