"""The sequence numbers of one plugin that did not arrive.

Holds the gaps as ranges, a bounded number of them. Must not know time, or why something is missing.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter

MOST = 256
"""Ranges that are kept. A plugin whose queue overflows leaves one wherever it dropped."""


class Gaps:
    """What is still to come of the numbers after `highest`; nothing is said of those up to it."""

    def __init__(self, highest: int) -> None:
        self.highest = highest
        self._ranges: list[tuple[int, int]] = []
        self._closed = 0

    def expect(self, sequence: int) -> None:
        """All numbers up to this one were given out."""
        if sequence <= self.highest:
            return
        start = self.highest + 1
        if self._ranges and self._ranges[-1][1] == self.highest:
            start, _ = self._ranges.pop()
        self._ranges.append((start, sequence))
        self.highest = sequence
        self._bound()

    def arrived(self, sequence: int) -> bool:
        """Strike a number off. False when it wasn't open: it had arrived, or is older than what we know of."""
        if sequence == self.highest + 1:
            self.highest = sequence
            return True
        self.expect(sequence)
        index = bisect_right(self._ranges, sequence, key=itemgetter(0)) - 1
        if index < 0 or sequence > self._ranges[index][1]:
            return False
        start, end = self._ranges[index]
        left = ((start, sequence - 1), (sequence + 1, end))
        self._ranges[index : index + 1] = [(first, last) for first, last in left if first <= last]
        self._bound()
        return True

    def open(self, up_to: int) -> int:
        """How many numbers up to this one have not arrived."""
        return self._closed + sum(min(end, up_to) - start + 1 for start, end in self._ranges if start <= up_to)

    def _bound(self) -> None:
        """Give up waiting for the oldest gap when there are too many: it stays open for good."""
        if len(self._ranges) > MOST:
            start, end = self._ranges.pop(0)
            self._closed += end - start + 1
