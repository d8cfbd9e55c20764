"""What every framing gives: events, whether the end is missing, and what was wrong.

Owns the bound on events, so that a body of empty frames can't fill the memory.
"""

from __future__ import annotations

from typing import NamedTuple

from llmtoken.exchange import Event

MAX_EVENTS = 250_000
"""Frames that are read of one body. A reply of 100,000 tokens, one a frame, is well below."""


class Frames(NamedTuple):
    """The events of a stream. `cut` is true when its last one didn't arrive whole."""

    events: tuple[Event, ...]
    cut: bool = False
    problems: tuple[str, ...] = ()
