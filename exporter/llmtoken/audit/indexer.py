"""Indexes what was said before search was switched on, in the background, for as long as the collector runs."""

from __future__ import annotations

import logging
import threading
import time

from llmtoken.audit.writer import Audit
from llmtoken.errors import StorageUnavailable

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Calls of a transaction: their bodies may have megabytes."""

_RETRY = 10.0
"""Seconds to wait for a database that refuses."""


class Indexer:
    """A thread of its own, which ends when all is indexed. Start it, stop it."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)

    def start(self) -> None:
        """Start indexing; at once nothing is left to do where search is off."""
        self._thread.start()

    def stop(self) -> None:
        """Index no more; the next start goes on. Blocks until the transaction under way is committed."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                if not self._audit.index_older(_AT_ONCE):
                    return
            except StorageUnavailable as error:
                log.warning("Older calls are indexed later: %s", error)
                pause = _RETRY
            else:
                # Others have the database for as long as we had it.
                pause = time.monotonic() - began
