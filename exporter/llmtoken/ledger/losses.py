"""The reasons for which plugins lose reports, and one plugin's losses by them.

Reasons come from outside: those that our plugin doesn't have are `other`, and what no reason
explains is `unknown`. Must not know how a loss is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

import msgspec

OTHER = "other"
UNKNOWN = "unknown"

QUEUE_FULL = "queue_full"

DROPPED = (QUEUE_FULL, "spool_full", OTHER, UNKNOWN)
"""Why a report was not even queued."""

FAILED = ("refused", "rejected", "spool_damaged", "unwritable", OTHER, UNKNOWN)
"""Why a report was queued and never delivered."""


class Losses(msgspec.Struct, array_like=True):
    """The highest total that one boot of a plugin told, and what of it was counted for which reason.

    The counted add up to the total, always: it is what the plugin vouches for, and the reasons
    only divide it. So a reason that is told later than its losses leaves them `unknown`.
    """

    total: int
    counted: dict[str, int]

    @classmethod
    def none(cls, reasons: Collection[str]) -> Self:
        """Nothing was lost yet, for any of these reasons."""
        return cls(0, dict.fromkeys(reasons, 0))

    def told(self, total: int, by: Mapping[str, int]) -> dict[str, int]:
        """What is new in these running totals, by reason. Nothing, when they are older than what was told before."""
        new, self.total = max(0, total - self.total), max(total, self.total)
        increases: dict[str, int] = {}
        for reason, count in self._known(by).items():
            more = min(new, count - self.counted[reason])
            if more > 0:
                increases[reason] = more
                new -= more
        if new:
            increases[UNKNOWN] = increases.get(UNKNOWN, 0) + new
        for reason, more in increases.items():
            self.counted[reason] += more
        return increases

    def _known(self, by: Mapping[str, int]) -> dict[str, int]:
        known: dict[str, int] = {}
        for name, count in by.items():
            reason = name if name in self.counted else OTHER
            known[reason] = known.get(reason, 0) + count
        return known
