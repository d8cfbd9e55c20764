"""What this deployment's own traffic teaches about counting: estimates held against reported usage.

Where a model's calls carry usage, a few of them are counted all the same. From these pairs
each model learns how to correct a count, and calls of it that carry no usage profit. Owns the
windows of pairs and whose turn it is to be compared; what follows from the pairs is
`llmtoken.count.correction`'s business. Must not know texts, tokenizers or storage.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from llmtoken.count.correction import Correction, Pair, Side, correction

WINDOW = 32
"""Pairs that are remembered of each side of a model, each once; older ones are forgotten."""

RARELY = 50
"""Once a side of a model was compared `WINDOW` times, one in this many of its calls is compared."""

PAID = 15
"""Tokens that a call may have to pay for (2 µs): one that took more to compare pays for as many calls more."""

LONGEST_WAIT = 5000
"""Calls that a side at most adds to the wait: what changes at the provider must still be noticed."""

MODELS = 256
"""Models that are remembered; beyond that the one not compared for longest is forgotten."""

LARGEST = 2**40
"""Tokens that a pair may have; the audit keeps no more either, and a float holds them exactly."""

LONGEST = 200
"""Characters of a model's or a provider's name; longer ones aren't learned, they come from clients."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One side of a call whose usage was reported, counted as if it weren't."""

    provider: str
    model: str
    side: Side
    counted: int
    estimated: int
    """What would have been said: the count, corrected by what was known then."""
    reported: int

    @property
    def token_type(self) -> Literal["input", "output"]:
        """The side in the words of the semantic conventions."""
        return "output" if self.side.startswith("output") else "input"

    @property
    def ratio(self) -> float:
        """Estimate over report: 1 is exact, 2 is twice too much."""
        return self.estimated / self.reported


class Lesson(NamedTuple):
    """All pairs of one side of a model, as they are kept; without pairs it is to be forgotten."""

    provider: str
    model: str
    side: str
    pairs: tuple[Pair, ...]


@dataclass(slots=True)
class _Window:
    """The newest different pairs of one side; the correction is worked out when it is asked for."""

    pairs: deque[Pair] = field(default_factory=lambda: deque(maxlen=WINDOW))
    compared: int = 0
    correction: Correction | None = None


@dataclass(slots=True)
class _Model:
    windows: dict[Side, _Window] = field(default_factory=dict)
    known_well: bool = False
    """Whether one of its sides was compared `WINDOW` times."""
    wait: int = RARELY
    """Calls until the next comparison, from then on."""


class Calibration:
    """Learns from comparisons and corrects counts; from any thread, in bounded memory.

    Begins with `lessons` that were kept, the oldest first.
    """

    def __init__(self, lessons: Iterable[tuple[str, str, str, tuple[Pair, ...]]] = ()) -> None:
        self._lock = threading.Lock()
        self._models: OrderedDict[tuple[str, str], _Model] = OrderedDict()
        self._changed: dict[tuple[str, str, Side], int] = {}
        sides: dict[str, Side] = {side: side for side in get_args(Side)}
        for provider, model, name, pairs in lessons:
            # An older or newer version may have other sides, and hands may have been at the rows.
            if side := sides.get(name):
                for pair in filter(_sound, pairs):
                    self._add(provider, model, side, pair)
        self._changed.clear()

    def wants(self, provider: str, model: str) -> bool:
        """Whether this call should be compared: all until the model is known well, then few, and of long ones fewer."""
        with self._lock:
            known = self._models.get((provider, model))
            if known is not None and known.known_well:
                known.wait -= 1
                if known.wait > 0:
                    return False
                known.wait = RARELY
                return True
        return bool(model) and _learnable(model) and _learnable(provider)

    def correct(self, provider: str, model: str, side: Side, counted: int) -> int:
        """A count, corrected by what was learned of this side of the model; else as it is."""
        with self._lock:
            known = self._models.get((provider, model))
            window = known.windows.get(side) if known else None
            if window is None:
                return counted
            if window.correction is None:
                window.correction = correction(window.pairs, side)
            return window.correction(counted)

    def learn(self, comparisons: Iterable[Comparison]) -> None:
        """Take these to heart, in their order."""
        with self._lock:
            for seen in comparisons:
                if _sound(pair := (seen.counted, seen.reported)):
                    known = self._add(seen.provider, seen.model, seen.side, pair)
                    if known.known_well:
                        known.wait += min(seen.counted // PAID, LONGEST_WAIT)

    def keep(self, by: Callable[[Sequence[Lesson]], None], *, least: int = 1) -> None:
        """Hand what has changed since the last time to `by`, if that is at least `least` pairs.

        For one thread at a time. What `by` raises is passed on; the next time has it all again.
        """
        with self._lock:
            if sum(self._changed.values()) < least:
                return
            changed, self._changed = self._changed, {}
            lessons = [Lesson(*key, pairs=tuple(self._pairs(*key))) for key in changed]
        try:
            by(lessons)
        except BaseException:
            with self._lock:
                for key, pairs in changed.items():
                    self._changed[key] = self._changed.get(key, 0) + pairs
            raise

    def _pairs(self, provider: str, model: str, side: Side) -> Iterator[Pair]:
        if (known := self._models.get((provider, model))) and (window := known.windows.get(side)):
            yield from window.pairs

    def _add(self, provider: str, model: str, side: Side, pair: Pair) -> _Model:
        known = self._models.setdefault((provider, model), _Model())
        self._models.move_to_end((provider, model))
        window = known.windows.setdefault(side, _Window())
        window.compared += 1
        known.known_well = known.known_well or window.compared >= WINDOW
        if pair in window.pairs:
            window.pairs.remove(pair)
            window.pairs.append(pair)
            return known
        window.pairs.append(pair)
        window.correction = None
        self._note(provider, model, side)
        if len(self._models) > MODELS:
            name, forgotten = self._models.popitem(last=False)
            for gone in forgotten.windows:
                self._note(*name, gone)
        return known

    def _note(self, provider: str, model: str, side: Side) -> None:
        key = (provider, model, side)
        self._changed[key] = self._changed.get(key, 0) + 1


def _sound(pair: Any) -> bool:
    match pair:
        case (int(counted), int(reported)):
            return 0 < counted <= LARGEST and 0 < reported <= LARGEST
    return False


def _learnable(name: str) -> bool:
    return len(name) <= LONGEST and name.isprintable()
