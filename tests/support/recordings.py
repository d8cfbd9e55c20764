"""The recorded exchanges as reports: what the plugin would have sent for them.

As `llmtoken replay` makes them, but for the duration: recordings have no clock, so every
report carries the same made-up one.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import msgspec

from llmtoken.replay.recorded import exchange
from llmtoken.report import Report
from support.needs import corpus

ELAPSED = 1.0
"""Seconds that every recording is said to have taken."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded exchange: its report, and the numbers that a correct reader finds in it."""

    id: str
    report: Report
    expected: dict[str, Any]
    is_stream: bool
    """Whether the reply is a stream: SSE, NDJSON, AWS event stream or a JSON array of chunks."""
    load_notes: tuple[str, ...]


@functools.cache
def load() -> tuple[Recording, ...]:
    """Every recording of the corpus; the test skips (fails in CI) where there is none."""
    with corpus().open(encoding="utf-8") as lines:
        return tuple(_recording(json.loads(line)) for line in lines)


def _recording(row: dict[str, Any]) -> Recording:
    report = msgspec.structs.replace(exchange(row), elapsed_time=ELAPSED)
    return Recording(row["id"], report, row["expected"], row["is_stream"], tuple(row["load_notes"]))
