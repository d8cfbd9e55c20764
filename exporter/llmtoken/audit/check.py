"""Compares the counters with their rows in the background, now and then, for as long as the collector runs."""

from __future__ import annotations

import logging
import threading
import time

from llmtoken.audit.writer import Audit
from llmtoken.errors import StorageUnavailable

log = logging.getLogger(__name__)

INTERVAL = 15.0
"""Seconds between two comparisons."""


class Check:
    """A thread of its own. Start it, ask for `unbalanced`, stop it."""

    def __init__(self, audit: Audit, *, interval: float = INTERVAL) -> None:
        self._audit = audit
        self._interval = interval
        self._stopping = threading.Event()
        self._found: int | None = None
        self._found_at = 0.0
        self._thread = threading.Thread(target=self._run, name="check", daemon=True)

    def start(self) -> None:
        """Start comparing; the first time at once."""
        self._thread.start()

    def stop(self) -> None:
        """Compare no more. Blocks until a comparison under way is done."""
        self._stopping.set()
        self._thread.join()

    def unbalanced(self) -> int | None:
        """How many series differed when last compared; `None` when that wasn't lately."""
        return self._found if time.monotonic() - self._found_at < 4 * self._interval else None

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                found = self._audit.unbalanced()
            except StorageUnavailable as error:
                log.warning("The counters could not be compared with the audit: %s", error)
            else:
                if found and found != self._found:
                    log.error("%d series differ from the audit's rows; `llmtoken audit verify` says which", found)
                self._found, self._found_at = found, time.monotonic()
            self._stopping.wait(self._interval)
