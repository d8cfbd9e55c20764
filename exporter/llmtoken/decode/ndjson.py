"""Newline-delimited JSON, one value a line (also RFC 7464's form with a record separator before it).

A last line without a line end counts if it is whole. Must not know what values mean.
"""

from __future__ import annotations

from typing import Any

from llmtoken.decode import values
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event

_RECORD_SEPARATOR = b"\x1e"


def looks_like(data: bytes) -> bool:
    """Whether the body is more than one line and the first is a whole JSON object."""
    text = data.lstrip()
    end = text.find(b"\n")
    if end < 0 or not text[end:].strip():
        return False
    try:
        return isinstance(values.parse(text[:end]), dict)
    except ValueError:
        return False


def read(data: bytes, *, on_wire: bool = True) -> Frames:
    """One event a line; blank lines are skipped, a line that isn't JSON is kept as text."""
    lines = data.split(b"\n", MAX_EVENTS)
    last = lines.pop()
    events: list[Event] = []
    problems: set[str] = set()
    fast, append = values.fast, events.append
    end = 0
    value: Any
    for line in lines:
        end += len(line) + 1
        try:
            value = fast(line)
        except values.NOT_STRICT:
            record = _record(line)
            if not record:
                continue
            try:
                value = values.parse(record)
            except ValueError:
                problems.add("stream_json")
                value = record.decode("utf-8", "replace")
        append(Event(value, None, end if on_wire else None))

    if len(lines) == MAX_EVENTS:
        return Frames(tuple(events), cut=True, problems=("too_large", *problems))
    last = _record(last)
    cut = False
    if last:
        try:
            value = values.parse(last)
            cut = not isinstance(value, dict | list | str)
        except ValueError:
            cut = True
        if not cut:
            append(Event(value, None, len(data) if on_wire else None))
    return Frames(tuple(events), cut, tuple(problems))


def _record(line: bytes) -> bytes:
    return line.strip().removeprefix(_RECORD_SEPARATOR).removeprefix(values.BOM).strip()
