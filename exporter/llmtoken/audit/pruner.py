"""Deletes what retention says in the background, now and then, for as long as the collector runs."""

from __future__ import annotations

import logging
import threading

from llmtoken.audit.retention import Rules, Summary
from llmtoken.audit.writer import Audit
from llmtoken.errors import DatabaseError, StorageUnavailable

log = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two runs."""


class Pruner:
    """A thread of its own, but none when there are no rules. Start it, stop it."""

    def __init__(self, audit: Audit, rules: Rules, *, interval: float = INTERVAL) -> None:
        self._audit = audit
        self._rules = rules
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pruner", daemon=True)
        self._warned: set[str] = set()

    def start(self) -> None:
        """Start deleting; the first time at once."""
        if self._rules:
            self._thread.start()

    def stop(self) -> None:
        """Delete no more. Blocks until the batch under way is committed."""
        self._stopping.set()
        if self._rules:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                summary = self._audit.prune(self._rules, pause=lambda seconds: not self._stopping.wait(seconds))
            except (StorageUnavailable, DatabaseError) as error:  # or without the key of the seals
                log.warning("Old calls are deleted later: %s", error)
            else:
                self._tell(summary)
            self._stopping.wait(self._interval)

    def _tell(self, summary: Summary) -> None:
        for each in summary.done:
            if each.count:
                what = "the bodies of " if each.deleted == "bodies" else ""
                log.info("%s: %s%d calls deleted", each.rule, what, each.count)
        if not summary.can_shrink:
            self._warn_once("The file can't get shorter: docs/operations.md says how to mend it")
        if not summary.interrupted and self._rules.bytes is not None and (summary.used_after or 0) > self._rules.bytes:
            self._warn_once("The audit holds more than retain_bytes, but no call is older than a day")

    def _warn_once(self, problem: str) -> None:
        if problem not in self._warned:
            self._warned.add(problem)
            log.warning(problem)
