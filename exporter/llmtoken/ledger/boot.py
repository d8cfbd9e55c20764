"""One boot of a plugin: what it lost by its own account, and which of its numbers are missing.

Batches are retried and overtake each other, so whatever is told may arrive twice or late.
*Lost* is what a plugin accounts for itself; *missing* is a number that was given out, did not
arrive, and is not accounted for. The state is a handful of integers and ranges, which can be
written down at any time and read again, by whoever hears of the boot next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from llmtoken.ledger.gaps import Gaps
from llmtoken.ledger.losses import DROPPED, FAILED, QUEUE_FULL, Losses
from llmtoken.report import Source

GRACE = 300.0
"""Seconds that a report may be on its way before it is missing.

A plugin pauses no longer between two attempts, even when it is asked to (`maxRetryAfter`): what
it still has was offered again in this time.
"""

_STEPS = 10
"""How finely the past is remembered: a gap is noticed up to a tenth of the grace time late."""

MISSING, LATE = "missing", "late"

Found = Counter[tuple[str, str]]
"""How many reports more: by what became of them (`dropped`, `failed`, `missing`, `late`), and why if that is said."""

Told = tuple[Sequence[Source], Source | None]
"""What came with the reports of one batch, and the sender's ledger at the time of sending."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What was known of a boot at one time: how many exchanges it had, how many of them were lost."""

    time: float
    highest: int
    lost: int
    queue_full: int = 0


class Boot(msgspec.Struct):
    """One boot of a plugin. Times are seconds of a clock that goes on over restarts."""

    dropped: Losses = msgspec.field(default_factory=lambda: Losses.none(DROPPED))
    failed: Losses = msgspec.field(default_factory=lambda: Losses.none(FAILED))
    gaps: Gaps | None = None
    marks: list[Mark] = []
    missing: int = 0
    first: Mark = Mark(0.0, 0, 0)
    first_open: int = 0
    """How many numbers up to the first mark are open."""

    @property
    def lost(self) -> int:
        """How many reports the plugin says it lost."""
        return self.dropped.total + self.failed.total

    def take(self, sources: Sequence[Source], current: Source | None, now: float, *, settles: bool = True) -> Found:
        """Take what was told of this boot. With `settles`, a gap that is old enough is found missing."""
        found = self.settle(now) if settles else Found()
        for source in (*sources, current) if current else sources:
            if source.dropped > self.dropped.total:
                _add(found, "dropped", self.dropped.told(source.dropped, source.dropped_by))
            if source.failed > self.failed.total:
                _add(found, "failed", self.failed.told(source.failed, source.failed_by))
        # In order, numbers that follow each other leave no gaps in between.
        self._follow(sorted(source.sequence for source in sources if source.sequence), current, now)
        if settles and (more := self.settle(now)):
            found.update(more)
        return found

    def settle(self, now: float) -> Found:
        """Compare what is missing with what was found missing before.

        What is open is first of all explained by the losses. Losses told of after the mark may belong to
        numbers from before it, or to younger ones, and then would explain a gap only until those are old
        too. So they keep a gap from being found missing, but don't make a missing one explained yet.
        What found the queue full was lost as its number was given out, so it is younger for sure.
        """
        mark = next((mark for mark in reversed(self.marks) if mark.time <= now - GRACE), None)
        if mark is None or self.gaps is None:
            return Found()
        still_open = self.gaps.open(up_to=mark.highest)
        earlier = max(0, self.first.lost - self.first_open)
        younger = self.dropped.counted[QUEUE_FULL] - mark.queue_full
        least = max(0, still_open - (self.lost - younger - earlier))
        most = max(0, still_open - (mark.lost - earlier))
        before, self.missing = self.missing, min(max(self.missing, least), most)
        change = self.missing - before
        return Found({(MISSING if change > 0 else LATE, ""): abs(change)} if change else {})

    def due(self, settled: float) -> float | None:
        """When `settle`, last called at that time, may find something without any news; `None` when it won't."""
        if self.gaps is None or (not self.missing and not self.gaps.open(up_to=self.gaps.highest)):
            return None
        return next((mark.time + GRACE for mark in self.marks if mark.time > settled - GRACE), None)

    def _follow(self, arrived: Sequence[int], current: Source | None, now: float) -> None:
        """Strike off the numbers that arrived, and note what is known now."""
        given_out = current.sequence if current else 0
        if self.gaps is None:
            if not arrived and not given_out:
                return
            self.gaps = Gaps(min(arrived) - 1 if arrived else given_out)
        for sequence in arrived:
            if self.gaps.arrived(sequence) and sequence <= self.first.highest:
                self.first_open -= 1
        self.gaps.expect(given_out)
        if not self.marks:
            # Of the losses before us we know only from the ledger itself: a report's totals may be
            # ahead of its number. They explain what was open then, and the rest was before our time.
            self.first = Mark(now, self.gaps.highest, current.dropped + current.failed if current else 0)
            self.first_open = self.gaps.open(up_to=self.gaps.highest)
        _note(self.marks, Mark(now, self.gaps.highest, self.lost, self.dropped.counted[QUEUE_FULL]))


def boots_of(told: Iterable[Told]) -> set[str]:
    """The boots of which something is told. Who has no boot id can't be told apart from others, and is left out."""
    names = {source.boot for sources, _ in told for source in sources}
    names.update(current.boot for _, current in told if current is not None)
    return names - {""}


def take(boots: Mapping[str, Boot], told: Iterable[Told], now: float, *, settles: bool = True) -> Found:
    """Take what was told of these boots, all of one in one go; gives what it adds to the losses."""
    found = Found()
    for name, parts in _by_boot(told).items():
        boot = boots[name]
        # Where the numbers of a boot begin is for the first to say.
        first = 0 if boot.gaps else 1
        for some in (parts[:first], parts[first:]):
            if some and (more := boot.take(*_joined(some), now, settles=settles)):
                found.update(more)
    return found


def _by_boot(told: Iterable[Told]) -> dict[str, list[Told]]:
    """What is told of each boot: a batch may carry what earlier processes left behind."""
    boots: dict[str, list[Told]] = {}
    for sources, current in told:
        named: dict[str, list[Source]] = {}
        for source in sources:
            if source.boot:
                named.setdefault(source.boot, []).append(source)
        if current is not None and current.boot:
            named.setdefault(current.boot, [])
        for name, mine in named.items():
            boots.setdefault(name, []).append((mine, current if current and current.boot == name else None))
    return boots


def _joined(parts: Sequence[Told]) -> Told:
    """All in one. A plugin's totals only grow, so of several ledgers the latest says what the others say."""
    ledgers = [current for _, current in parts if current is not None]
    latest = max(ledgers, key=lambda ledger: (ledger.sequence, ledger.dropped + ledger.failed), default=None)
    return [source for sources, _ in parts for source in sources], latest


def _add(found: Found, kind: str, losses: Mapping[str, int]) -> None:
    for reason, count in losses.items():
        found[kind, reason] += count


def _note(marks: list[Mark], mark: Mark) -> None:
    """Add a mark. The latest one moves along as long as it stays within a step of the one before."""
    if len(marks) > 1 and mark.time - marks[-2].time < GRACE / _STEPS:
        marks[-1] = mark
    else:
        marks.append(mark)
    while len(marks) > 1 and marks[1].time <= mark.time - GRACE:
        del marks[0]
