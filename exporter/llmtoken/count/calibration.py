"""What this deployment's own traffic teaches about counting: estimates held against reported usage.

Where a model's calls carry usage, a few of them are counted all the same. From these pairs
each model learns how to correct a count, and calls of it that carry no usage profit. Owns the
windows of pairs, the choice of the correction, and whose turn it is to be compared. Must not
know texts, tokenizers or storage.

A correction follows from the pairs in the window alone, so the same observations always
give the same estimate. What was tried and how well it did: docs/adr/counting.md.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from typing import Any, Literal, NamedTuple, get_args

Side = Literal["input", "input with tools", "output", "output with calls"]
"""What is learned apart: offered tools bring a hidden prompt with them, and a call of one has a frame of its own."""

WINDOW = 32
"""Pairs that are remembered of each side of a model, each once; older ones are forgotten."""

LEAST = 5
"""Pairs that a side must have before they are believed: a probe that asks the same again and again is one."""

RARELY = 50
"""Once a side of a model was compared `WINDOW` times, one in this many of its calls is compared."""

MODELS = 256
"""Models that are remembered; beyond that the one not compared for longest is forgotten."""

LONGEST = 200
"""Characters of a model's or a provider's name; longer ones aren't learned, they come from clients."""

WORTH = 0.7
"""A correction is taken only if the window's median error falls below this share of the simpler one's."""

NOISE = 1
"""A side whose counts are off by no more tokens than this in the median is left as it is."""

STEEPEST = 4.0
"""Largest ratio of a correction, and the inverse of the smallest: beyond it something else is wrong."""

Pair = tuple[int, int]
"""What we counted uncorrected, and what was reported. Neither is 0."""


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


# ── Corrections ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Correction:
    """From a count to a better one: `ratio * counted + offset`."""

    ratio: float = 1.0
    offset: float = 0.0

    def __call__(self, counted: int) -> int:
        """The corrected count; nothing stays nothing, and something is never all taken away."""
        if not counted:
            return 0
        return max(1, round(counted / STEEPEST), round(self.ratio * counted + self.offset))


def correction(pairs: Sequence[Pair], side: Side) -> Correction:
    """The simplest correction that serves these pairs well.

    In this order: none, a ratio (another tokenizer), an offset (a prompt that the provider
    adds), for input both. Medians throughout, so that a minority of odd calls (hidden
    reasoning, files we can't see) changes nothing.
    """
    best = Correction()
    if len(pairs) < LEAST or median(abs(counted - reported) for counted, reported in pairs) <= NOISE:
        return best
    error = _error(best, pairs)
    for fit in (_ratio, _offset, *(() if side.startswith("output") else (_line,))):
        candidate = fit(pairs)
        found = _error(candidate, pairs)
        if found < WORTH * error:
            best, error = candidate, found
    return best


def _ratio(pairs: Sequence[Pair]) -> Correction:
    found = median(reported / counted for counted, reported in pairs)
    return Correction(ratio=min(STEEPEST, max(1 / STEEPEST, found)))


def _offset(pairs: Sequence[Pair]) -> Correction:
    return Correction(offset=median(reported - counted for counted, reported in pairs))


def _line(pairs: Sequence[Pair]) -> Correction:
    """Theil and Sen's estimator: the median slope of all lines through two points."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(pairs, 2) if a[0] != b[0]]
    if not slopes:
        return _offset(pairs)
    ratio = min(STEEPEST / 2, max(2 / STEEPEST, median(slopes)))
    return Correction(ratio, median(reported - ratio * counted for counted, reported in pairs))


def _error(candidate: Callable[[int], int], pairs: Sequence[Pair]) -> float:
    return median(abs(candidate(counted) - reported) / reported for counted, reported in pairs)


# ── What is remembered ─────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Window:
    """The newest different pairs of one side; the correction is worked out when it is asked for."""

    pairs: deque[Pair] = field(default_factory=lambda: deque(maxlen=WINDOW))
    compared: int = 0
    correction: Correction | None = None


@dataclass(slots=True)
class _Model:
    windows: dict[Side, _Window] = field(default_factory=dict)
    calls: int = 0

    def known_well(self) -> bool:
        return any(window.compared >= WINDOW for window in self.windows.values())


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
        """Whether this call should be compared: all until the model is known well, then one in `RARELY`."""
        if not (_learnable(provider) and model and _learnable(model)):
            return False
        with self._lock:
            known = self._models.get((provider, model))
            if known is None or not known.known_well():
                return True
            known.calls += 1
            return known.calls % RARELY == 0

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
                self._add(seen.provider, seen.model, seen.side, (seen.counted, seen.reported))

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

    def _add(self, provider: str, model: str, side: Side, pair: Pair) -> None:
        known = self._models.setdefault((provider, model), _Model())
        self._models.move_to_end((provider, model))
        window = known.windows.setdefault(side, _Window())
        window.compared += 1
        if pair in window.pairs:
            window.pairs.remove(pair)
            window.pairs.append(pair)
            return
        window.pairs.append(pair)
        window.correction = None
        self._note(provider, model, side)
        if len(self._models) > MODELS:
            name, forgotten = self._models.popitem(last=False)
            for gone in forgotten.windows:
                self._note(*name, gone)

    def _note(self, provider: str, model: str, side: Side) -> None:
        key = (provider, model, side)
        self._changed[key] = self._changed.get(key, 0) + 1


def _sound(pair: Any) -> bool:
    match pair:
        case (int(counted), int(reported)):
            return counted > 0 and reported > 0
    return False


def _learnable(name: str) -> bool:
    return len(name) <= LONGEST and name.isprintable()
