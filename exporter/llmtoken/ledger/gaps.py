"""The sequence numbers of one plugin that did not arrive.

Holds the gaps as ranges, a bounded number of them. Must not know time, or why something is missing.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter

import msgspec

MOST = 256
"""Ranges that are kept. A plugin whose queue overflows leaves one wherever it dropped."""


class Gaps(msgspec.Struct, array_like=True):
    """What is still to come of the numbers after `highest`; nothing is said of those up to it."""

    highest: int
    ranges: list[tuple[int, int]] = []
    closed: int = 0

    def expect(self, sequence: int) -> None:
        """All numbers up to this one were given out."""
        if sequence <= self.highest:
            return
        start = self.highest + 1
        if self.ranges and self.ranges[-1][1] == self.highest:
            start, _ = self.ranges.pop()
        self.ranges.append((start, sequence))
        self.highest = sequence
        self._bound()

    def arrived(self, sequence: int) -> bool:
        """Strike a number off. False when it wasn't open: it had arrived, or is older than what we know of."""
        if sequence == self.highest + 1:
            self.highest = sequence
            return True
        self.expect(sequence)
        index = bisect_right(self.ranges, sequence, key=itemgetter(0)) - 1
        if index < 0 or sequence > self.ranges[index][1]:
            return False
        start, end = self.ranges[index]
        left = ((start, sequence - 1), (sequence + 1, end))
        self.ranges[index : index + 1] = [(first, last) for first, last in left if first <= last]
        self._bound()
        return True

    def open(self, up_to: int) -> int:
        """How many numbers up to this one have not arrived."""
        return self.closed + sum(min(end, up_to) - start + 1 for start, end in self.ranges if start <= up_to)

    def _bound(self) -> None:
        """Give up waiting for the oldest gap when there are too many: it stays open for good."""
        if len(self.ranges) > MOST:
            start, end = self.ranges.pop(0)
            self.closed += end - start + 1
