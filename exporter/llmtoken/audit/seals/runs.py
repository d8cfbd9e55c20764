"""Sets of ids that mostly follow each other: kept as runs, so that millions of them are a few numbers."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Run = tuple[int, int]
"""The first and the last of ids without a gap."""


def runs_of(ids: Iterable[int]) -> list[Run]:
    """These ids as runs, in order."""
    found: list[Run] = []
    for each in sorted(ids):
        if found and each <= found[-1][1] + 1:
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found


class Runs:
    """A set of ids. Runs that touch become one."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._firsts, self._lasts = array("q"), array("q")
        self.update(runs)

    def update(self, runs: Iterable[Run]) -> None:
        """Add all ids of these runs."""
        for first, last in runs:
            low, high = bisect_left(self._lasts, first - 1), bisect_right(self._firsts, last + 1)
            if low < high:
                first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])  # noqa: PLW2901
            self._firsts[low:high] = array("q", (first,))
            self._lasts[low:high] = array("q", (last,))

    def __contains__(self, each: int) -> bool:
        place = bisect_left(self._lasts, each)
        return place < len(self._lasts) and self._firsts[place] <= each

    def __iter__(self) -> Iterator[Run]:
        return zip(self._firsts, self._lasts, strict=True)
