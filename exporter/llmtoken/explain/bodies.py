"""The decoding of one body: what was undone, which framing was found and what it was told by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from llmtoken.decode import PROBLEMS, aws_event_stream, content, ndjson, sse
from llmtoken.decode.body import Side
from llmtoken.exchange import Body, Event
from llmtoken.explain.fact import Fact
from llmtoken.report import Report

_SHOWN = 300
"""Characters of an event or a text that are shown."""
_NAME = 40
"""Characters of a text that stands in the place of an object."""
_KINDS = 12
"""Kinds of events, or names of fields, that are listed."""


def facts(report: Report, side: Side, body: Body, limit: int) -> Iterator[Fact]:
    """Everything that decoding found out about a body. `limit` is in bytes, as decoding has it."""
    if side == "request":
        wire, encoding, headers = report.request_content(), report.request_body_encoding, report.request_headers
    else:
        wire, encoding, headers = report.response_content(), report.response_body_encoding, report.response_headers
    headers = {name.lower(): value for name, value in headers.items()}
    yield Fact("captured", f"{len(wire):,} bytes", "sent as base64" if encoding == "base64" else "")
    if not wire:
        return
    plain = content.decoded(wire, headers.get("content-encoding", ""), limit=limit)
    coding = headers.get("content-encoding")
    if plain.data != wire:
        yield Fact(
            "coding",
            f"undone: {len(plain.data):,} bytes",
            f"content-encoding: {coding}" if coding else "its first bytes say so",
        )
    elif coding:
        yield Fact("coding", "none", f"content-encoding says {coding}, but the bytes aren't")
    yield Fact("framing", body.framing, _looks(plain.data, headers.get("content-type")))
    if body.framing == "json":
        yield Fact("fields", _outline(body.json))
    elif body.is_stream:
        yield Fact("events", len(body.events), _kinds(body.events))
        if body.events:
            yield Fact("first event", _shortened(body.events[0]))
            yield Fact("last event", _shortened(body.events[-1]))
    elif body.text:
        yield Fact("begins with", body.text[:_SHOWN])
    yield Fact("truncated", body.truncated)
    for problem in body.problems:
        yield Fact("problem", problem, PROBLEMS[problem])


def _looks(data: bytes, media_type: str | None) -> str:
    """What the bytes look like, and what the media type says; the look is believed before the type."""
    tests = {
        "server-sent events": sse.looks_like,
        "lines of JSON": ndjson.looks_like,
        "an AWS event stream": aws_event_stream.looks_like,
    }
    looks = " and ".join(name for name, test in tests.items() if test(data))
    evidence = f"the bytes look like {looks}" if looks else f"the bytes begin with {data[:16]!r}"
    return f"{evidence}; " + (f"content-type: {media_type}" if media_type else "no content-type")


def _outline(value: Any) -> str:
    """The names of an object's fields, which are what an API is known by."""
    if isinstance(value, str):
        return value[:_NAME]
    if not isinstance(value, dict):
        return "a list" if isinstance(value, list) else "a single value"
    names = list(value)
    return ", ".join(names[:_KINDS]) + (f" and {len(names) - _KINDS} more" if len(names) > _KINDS else "")


def _kinds(events: tuple[Event, ...]) -> str:
    """How many events there are of each kind: by name, else by the names of their fields."""
    kinds = Counter(event.name or _outline(event.data) for event in events)
    told = [f"{count} of {kind}" for kind, count in kinds.most_common(_KINDS)]
    return "; ".join(told) + (" …" if len(kinds) > _KINDS else "")


def _shortened(event: Event) -> str:
    text = event.data if isinstance(event.data, str) else msgspec.json.encode(event.data).decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
