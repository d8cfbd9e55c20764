"""Server-sent events, as the WHATWG HTML standard parses them, with three things forgiven.

A stream may end without its last blank line: an event that is whole all the same counts.
`error: {…}` is taken as data (older llama.cpp servers), and so is a line of bare JSON
(proxies that fail in mid-stream). Must not know what events mean.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, repeat
from typing import Any

from llmtoken.decode import values
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event

_LOOK = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?:(?::|event:|id:|retry:)[^\r\n]*[\r\n]+)*data:")
_FIRST_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?::|(?:data|event|id|retry|error)[:\r\n])")
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n|\Z)")
_DONE = b"[DONE]"
_DATA, _EVENT = b"data: ", b"event: "


def looks_like(data: bytes) -> bool:
    """Whether an unlabelled body is an event stream: fields from its first line on, data among them."""
    return _LOOK.match(data) is not None


def begins_like(data: bytes) -> bool:
    """Whether a body that is labelled an event stream begins like one; it may be cut before any data."""
    return _FIRST_FIELD.match(data) is not None


def read(data: bytes, *, on_wire: bool = True) -> Frames:
    """The events of a body; with their ends when `on_wire` says that its offsets are the wire's."""
    eol = _line_end(data)
    return _read_mixed(data, on_wire) if eol is None else _read_uniform(data, eol, on_wire)


def _line_end(data: bytes) -> bytes | None:
    r"""The line end that the whole body uses: `\n`, `\r\n`, or `None` when they are mixed or old."""
    if b"\r" not in data:
        return b"\n"
    pairs = data.count(b"\r\n")
    return b"\r\n" if pairs == data.count(b"\r") == data.count(b"\n") else None


def _read_uniform(data: bytes, eol: bytes, on_wire: bool) -> Frames:
    """The quick way: split at blank lines, take the two usual forms of a block apart by slicing."""
    gap = eol + eol
    blocks = data.split(gap, MAX_EVENTS)
    last = blocks.pop()
    ends: Iterable[int | None] = repeat(None)
    if on_wire:
        ends = list(accumulate(map(len(gap).__add__, map(len, blocks))))
    if blocks:
        blocks[0] = blocks[0].removeprefix(values.BOM)
    else:
        last = last.removeprefix(values.BOM)

    events: list[Event] = []
    problems: set[str] = set()
    names: dict[bytes, str | None] = {}
    fast, append = values.fast, events.append
    for block, end in zip(blocks, ends, strict=False):
        name, payload = None, block
        if block.startswith(_EVENT):
            first = block.find(eol)
            label = block[7:first]
            if label not in names:
                names[label] = _name(label)
            name, payload = names[label], block[first + len(eol) :]
        if payload.startswith(_DATA) and eol not in payload:
            payload = payload[6:]
        else:
            name, found = _fields(block.split(eol))
            if found is None:
                continue
            payload = found
        try:
            value = fast(payload)
        except values.NOT_STRICT:
            value = _value(payload, problems)
        append(Event(value if value.__class__ is not str else values.unwrapped(value), name, end))

    if len(blocks) == MAX_EVENTS:
        return Frames(tuple(events), cut=True, problems=("too_large", *problems))
    event, cut = _unfinished(last.split(eol), len(data) if on_wire else None)
    if event is not None:
        append(event)
    return Frames(tuple(events), cut, tuple(problems))


def _read_mixed(data: bytes, on_wire: bool) -> Frames:
    """The thorough way, line by line, for bodies whose line ends differ."""
    events: list[Event] = []
    problems: set[str] = set()
    count = 0
    last: list[bytes] = []
    for lines, end in _mixed_blocks(data):
        if end is None:
            last = lines
            break
        count += 1
        if count > MAX_EVENTS:
            return Frames(tuple(events), cut=True, problems=("too_large", *problems))
        name, payload = _fields(lines)
        if payload is not None:
            events.append(Event(_value(payload, problems), name, end if on_wire else None))
    event, cut = _unfinished(last, len(data) if on_wire else None)
    if event is not None:
        events.append(event)
    return Frames(tuple(events), cut, tuple(problems))


def _mixed_blocks(data: bytes) -> Iterator[tuple[list[bytes], int | None]]:
    """The lines of each block and where it ended; at last, without an end, what is unfinished."""
    lines: list[bytes] = []
    for match in _LINE.finditer(data, len(values.BOM) if data.startswith(values.BOM) else 0):
        line, eol = match.groups()
        if not eol:
            lines.append(line)
            break
        if line:
            lines.append(line)
        elif lines:
            yield lines, match.end()
            lines = []
    yield lines, None


def _fields(lines: list[bytes]) -> tuple[str | None, bytes | None]:
    """The event's name and payload; no payload when the block has no data."""
    name: bytes = b""
    payload: list[bytes] = []
    for line in lines:
        field, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            payload.append(value)
        elif field == b"event":
            name = value
        elif line.startswith(b"{"):
            payload.append(line)
        elif field == b"error" and colon:
            name = name or b"error"
            payload.append(value)
    return _name(name), b"\n".join(payload) if payload else None


def _unfinished(lines: list[bytes], end: int | None) -> tuple[Event | None, bool]:
    """What stands behind the last blank line: an event if it is whole, and whether something was cut.

    The last of `lines` has no line end; it is empty when the body ends with one.
    """
    partial = lines[-1] if lines else b""
    name, payload = _fields(lines)
    if payload is None:
        return None, name is not None or (bool(partial) and not partial.startswith(b":"))
    value: Any
    try:
        value = values.parse(payload)
    except ValueError:
        value = payload.decode("utf-8", "replace")
        whole = payload == _DONE or (not partial and payload[:1] not in (b"{", b"["))
    else:
        # `12` may be the beginning of `123`; an object, a list or a string shows its end.
        whole = not partial or isinstance(value, dict | list | str)
    return (Event(value, name, end), False) if whole else (None, True)


def _value(payload: bytes, problems: set[str]) -> Any:
    if payload == _DONE:
        return "[DONE]"
    try:
        return values.parse(payload)
    except ValueError:
        if payload.lstrip()[:1] in (b"{", b"["):
            problems.add("stream_json")
        return payload.decode("utf-8", "replace")


def _name(label: bytes) -> str | None:
    return label.decode("utf-8", "replace") or None
