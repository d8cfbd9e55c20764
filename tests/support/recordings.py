"""The recorded exchanges as reports: what the plugin would have sent for them.

Recordings have no clock, so every report carries the same made-up duration and no
timeline; everything else is as it was recorded.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

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
    report = Report(
        request_body=row["request_body"],
        response_body=row["response_body"],
        elapsed_time=ELAPSED,
        version=1,
        request_id=row["id"],
        method=row["method"],
        path=row["path"],
        query=row["query"],
        host=row["provider"],
        status=row["status"],
        request_body_encoding=row["request_body_encoding"],
        response_body_encoding=row["response_body_encoding"],
        request_headers=row["request_headers"],
        response_headers=row["response_headers"],
        request_truncated=False,
        response_truncated=False,
        aborted="",
    )
    return Recording(row["id"], report, row["expected"], row["is_stream"], tuple(row["load_notes"]))
