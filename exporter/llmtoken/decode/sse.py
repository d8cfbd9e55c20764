r"""Server-sent events, as the WHATWG HTML standard parses them, with some things forgiven.

A stream may end without its last blank line: an event that is whole all the same counts.
`error: {…}` is taken as data (older llama.cpp servers), and so is a line of bare JSON
(proxies that fail in mid-stream). Where the blank lines are missing, so that an event has
several lines that are JSON each, every line is an event; clients that read by lines never
notice. Spaces before the first field and behind `[DONE]` are none. Must not know what events mean.

Lines keep their ends (`\n`, `\r\n` or `\r`) while they are read: JSON doesn't mind them, and
lengths add up to offsets.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import accumulate, islice, repeat
from typing import Any

from llmtoken.decode import values
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event

MAX_LINES = 4 * MAX_EVENTS

_LOOK = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*[ \t]*(?:(?::|event:|id:|retry:)[^\r\n]*+[\r\n]++)*+data:")
_LOOK_BYTES = 64 * 1024
_FIRST_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*[ \t]*(?::|(?:data|event|id|retry|error)[:\r\n])")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BLANK = frozenset({b"\n", b"\r\n", b"\r"})
_DONE = "[DONE]"


def looks_like(data: bytes) -> bool:
    """Whether an unlabelled body is an event stream: fields from its first line on, data among them."""
    return _LOOK.match(data, 0, _LOOK_BYTES) is not None


def begins_like(data: bytes) -> bool:
    """Whether a body that is labelled an event stream begins like one; it may be cut before any data."""
    return _FIRST_FIELD.match(data) is not None


def read(data: bytes, *, on_wire: bool = True) -> Frames:
    """The events of a body; with their ends when `on_wire` says that its offsets are the wire's."""
    lines, problems = _lines(data)
    ends: Iterable[int | None] = list(accumulate(map(len, lines))) if on_wire else repeat(None)
    if lines:
        lines[0] = lines[0].removeprefix(values.BOM).lstrip(b" \t")
    events, name, payload = _events(zip(lines, ends, strict=False), problems)
    if "too_large" in problems:
        return Frames(tuple(events), cut=True, problems=tuple(problems))
    last, cut = _unfinished(name, payload, lines[-1] if lines else b"", len(data) if on_wire else None)
    events.extend(last)
    return Frames(tuple(events), cut, tuple(problems))


def _events(
    lines: Iterable[tuple[bytes, int | None]], problems: set[str]
) -> tuple[list[Event], str | None, bytes | bytearray | None]:
    """The events that a blank line ends, and the name and payload of the one that none does."""
    events: list[Event] = []
    fast, append = values.fast, events.append
    names: dict[bytes, str | None] = {}
    name: str | None = None
    payload: bytes | bytearray | None = None
    for line, end in lines:
        if payload is None:
            if line.startswith(b"data: "):
                payload = line[6:]
                continue
            if line in names:
                name = names[line]
                continue
        elif line in _BLANK:
            try:
                value = fast(payload)
            except values.NOT_STRICT:
                events += _made(payload, name, end, problems)
            else:
                append(Event(value if value.__class__ is not str else values.unwrapped(value), name, end))
            name = payload = None
            continue
        name, payload = _field(line, name, payload)
        if line.startswith(b"event:"):
            names[line] = name
    return events, name, payload


def _lines(data: bytes) -> tuple[list[bytes], set[str]]:
    """The lines with their ends, not too many of them."""
    if len(data) <= MAX_LINES or data.count(b"\n") + data.count(b"\r") <= MAX_LINES:
        return data.splitlines(keepends=True), set()
    last = next(islice(_LINE_END.finditer(data), MAX_LINES // 2, None))
    return data[: last.end()].splitlines(keepends=True), {"too_large"}


def _field(
    line: bytes, name: str | None, payload: bytes | bytearray | None
) -> tuple[str | None, bytes | bytearray | None]:
    """The event's name and payload so far, with what this line adds."""
    if line in _BLANK:
        return None, None
    field, colon, value = line.partition(b":")
    value = value.removeprefix(b" ")
    if line.startswith(b"{"):
        value = line
    elif field == b"event":
        return value.rstrip(b"\r\n").decode("utf-8", "replace") or None, payload
    elif field == b"error" and colon:
        name = name or "error"
    elif field.rstrip(b"\r\n") == b"data":
        value = value or b"\n"
    else:
        return name, payload
    return name, value if payload is None else _joined(payload, value)


def _joined(payload: bytes | bytearray, value: bytes) -> bytearray:
    """Several data lines as one payload, grown in place because there may be millions."""
    joined = payload if isinstance(payload, bytearray) else bytearray(payload)
    joined[len(joined) - _end_of(joined) :] = b"\n" + value
    return joined


def _unfinished(
    name: str | None, payload: bytes | bytearray | None, last: bytes, end: int | None
) -> tuple[list[Event], bool]:
    """What stands behind the last blank line: an event if it is whole, and whether something was cut."""
    partial = not last.endswith((b"\n", b"\r"))
    if payload is None:
        return [], name is not None or (partial and bool(last) and not last.startswith(b":"))
    value: Any
    try:
        value = values.parse(payload)
    except ValueError:
        value = _text(payload)
        if found := _line_by_line(value):
            return [Event(one, None, end) for one in found], False
        if partial and (found := _line_by_line(value.rpartition("\n")[0])):
            return [Event(one, None, end) for one in found], True
        whole = value == _DONE or (not partial and value[:1] not in ("{", "["))
    else:
        # `12` may be the beginning of `123`; an object, a list or a string shows its end.
        whole = not partial or isinstance(value, dict | list | str)
    return ([Event(value, name, end)], False) if whole else ([], True)


def _made(payload: bytes | bytearray, name: str | None, end: int | None, problems: set[str]) -> list[Event]:
    """The event of a payload that isn't strict JSON: often `[DONE]`, else what can be made of it."""
    text = _text(payload)
    if text == _DONE:
        return [Event(text, name, end)]
    try:
        return [Event(values.parse(payload), name, end)]
    except ValueError:
        if found := _line_by_line(text):
            return [Event(one, None, end) for one in found]
        if text.lstrip()[:1] in ("{", "["):
            problems.add("stream_json")
        return [Event(text, name, end)]


def _line_by_line(payload: str) -> list[Any]:
    """The values of a payload whose lines are JSON each, or `[DONE]`; none where they are not."""
    lines = payload.split("\n")
    if len(lines) == 1 or payload[:1] not in ("{", "[") or len(lines) > MAX_EVENTS:
        return []
    try:
        return [_DONE if line.rstrip() == _DONE else values.fast(line) for line in lines]
    except values.NOT_STRICT:
        return []


def _text(payload: bytes | bytearray) -> str:
    text = payload[: len(payload) - _end_of(payload)].decode("utf-8", "replace")
    return _DONE if text.startswith(_DONE) and text.rstrip() == _DONE else text


def _end_of(line: bytes | bytearray) -> int:
    """The length of the line end."""
    return 2 if line.endswith(b"\r\n") else line.endswith((b"\n", b"\r"))
