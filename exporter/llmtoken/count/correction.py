"""How to correct a count, from pairs of our counts and the provider's.

A correction follows from the pairs alone, not from their order or the time, so the same
observations always give the same estimate. What was tried and how well it did:
docs/adr/counting.md. Must not know where pairs come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Literal

Side = Literal["input", "input with tools", "output", "output with calls"]
"""What is learned apart: offered tools bring a hidden prompt with them, and a call of one has a frame of its own."""

Pair = tuple[int, int]
"""What we counted uncorrected, and what was reported. Neither is 0."""

LEAST = 5
"""Pairs that a side must have before they are believed: a probe that asks the same again and again is one."""

WORTH = 0.7
"""A correction is taken only if the window's median error falls below this share of the simpler one's."""

NOISE = 1
"""A side whose counts are off by no more tokens than this in the median is left as it is."""

STEEPEST = 4.0
"""Largest ratio of a correction, and the inverse of the smallest: beyond it something else is wrong."""


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
