"""The cardinality guard: names that clients choose, made printable and limited in number.

Every distinct name on a metric costs memory here and in Prometheus for good. A dimension
(models, consumers, …) takes names as they come until its limit; later ones are `_other`.
"""

from __future__ import annotations

import threading

OTHER = "_other"
LONGEST = 256
"""Characters of a name that are kept."""


class Names:
    """The names of one dimension; any thread may ask.

    A failed call may claim only the first half of the places, so that a client that sends
    nonsense names can't take them all from models that work.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def label(self, name: str | None, *, failed: bool = False) -> str:
        """The name to show: itself, cleaned, or `_other`; empty when unknown."""
        if not name:
            return ""
        label = name if len(name) <= LONGEST and name.isprintable() else _clean(name)
        if label in self._known:
            return label
        with self._lock:
            places = (self._limit + 1) // 2 if failed else self._limit
            if len(self._known) < places:
                self._known.add(label)
        return label if label in self._known else OTHER

    def keep(self, label: str) -> None:
        """Give a label its place whatever the limit is: it has a series already."""
        if label not in ("", OTHER):
            with self._lock:
                self._known.add(label)


def _clean(name: str) -> str:
    """Cut, and replace control characters, lone surrogates and the like, which an exposition can't carry."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:LONGEST])
