"""The loss ledger: plugins' running totals of lost reports, turned into increases.

Every report carries its plugin's totals since that plugin's boot. Batches are retried and
overtake each other, so a total may arrive twice or late: only what exceeds the highest
seen so far is new.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from llmtoken.report import Source

REMEMBERED = 1024
"""Boots whose totals are kept; the ones unheard of for longest go first."""


class Ledger:
    """The highest totals seen, by boot; any thread may tell.

    A boot never seen before counts whole: its losses happened, perhaps while we were down.
    So after a restart of the collector the losses of plugins that still run count again,
    from zero, like every counter does.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def increases(self, source: Source) -> tuple[int, int]:
        """What this report adds to (dropped, failed). Nothing, when the plugin has no boot id."""
        if not source.boot:
            return 0, 0
        with self._lock:
            dropped, failed = self._seen.get(source.boot, (0, 0))
            highest = max(dropped, source.dropped), max(failed, source.failed)
            self._seen[source.boot] = highest
            self._seen.move_to_end(source.boot)
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            return highest[0] - dropped, highest[1] - failed
