"""How many tokens a text had that was counted lately.

A conversation is sent again whole with every message of it, and a system prompt with every
conversation, so most of what comes to be counted was counted before. Owns the bound on what is
remembered; of longer texts that is a digest. Must not know encoders.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

MOST = 16_384
"""Texts that are remembered, some 4 MB; beyond that the one not seen for longest is forgotten."""

SHORT = 64
"""Characters that are kept as they are."""


class Remembered:
    """Counts by encoder and text; from any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._counts: OrderedDict[tuple[object, str | bytes], int] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, encoder: object, text: str, count: Callable[[str], int]) -> int:
        """The number of tokens, by `count` if this encoder hasn't had the text lately."""
        key = encoder, text if len(text) <= SHORT else _digest(text)
        with self._lock:
            if (known := self._counts.get(key)) is not None:
                self._counts.move_to_end(key)
                return known
        counted = count(text)
        with self._lock:
            self._counts[key] = counted
            if len(self._counts) > self._most:
                self._counts.popitem(last=False)
        return counted


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
