"""Made-up exchanges for tests of reading, decoded by the real decoder."""

from __future__ import annotations

import json
from typing import Any

from llmtoken.decode import decode
from llmtoken.exchange import Exchange
from llmtoken.report import Report

LIMIT = 64 * 1024 * 1024


def exchange(path: str, request: Any = None, reply: Any = None, **fields: Any) -> Exchange:
    """A call to `path`. Bodies that aren't text are written as JSON; a list of events as SSE.

    `fields` are the report's: `status`, `host`, `method`, `aborted`, `response_headers`, ….
    """
    report = {"version": 1, "method": "POST", "status": 200, "elapsed_time": 1.0, "aborted": "", "path": path}
    bodies = {"request_body": written(request), "response_body": written(reply)}
    return decode(Report(**{**report, **bodies, **fields}), max_body_bytes=LIMIT)


def written(body: Any) -> str:
    """A body as it is on the wire."""
    if body is None:
        return ""
    if isinstance(body, str):
        return body
    return sse(body) if isinstance(body, list) else json.dumps(body)


def sse(events: list[Any]) -> str:
    """Server-sent events: objects as JSON, named by their `type` if they have one; texts as they are."""
    return "".join(map(_event, events))


def _event(event: Any) -> str:
    if isinstance(event, str):
        return f"data: {event}\n\n"
    name = f"event: {event['type']}\n" if isinstance(event.get("type"), str) else ""
    return f"{name}data: {json.dumps(event)}\n\n"


def ndjson(values: list[Any]) -> str:
    """Newline-delimited JSON."""
    return "".join(json.dumps(value) + "\n" for value in values)
