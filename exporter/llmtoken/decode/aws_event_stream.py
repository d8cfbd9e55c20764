"""Amazon's event stream encoding: length-prefixed messages with headers and checksums.

A message is `total length u32, headers length u32, CRC of these 8 bytes, headers, payload,
CRC of all before`, big-endian. Bedrock's invoke wraps the model's own JSON in
`{"bytes": "<base64>"}`: that is unwrapped here, because it is part of the framing.
Must not know what payloads mean.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from typing import Any

from llmtoken.decode import values
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CHECKSUM.size
_BEGINS_JSON = (b"{", b"[")
_METRICS = "amazon-bedrock-invocationMetrics"

_WIDTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of the header values of a fixed length, by type: booleans, integers, timestamp, UUID."""
_BYTES, _STRING = 6, 7


def looks_like(data: bytes) -> bool:
    """Whether the body begins with a message whose checksummed lengths are right."""
    if len(data) < _PRELUDE.size:
        return False
    return zlib.crc32(data[:8]) == int.from_bytes(data[8:12])


def read(data: bytes, *, on_wire: bool = True) -> Frames:
    """One event a message. A wrong checksum is noted, and reading goes on while the lengths make sense."""
    events: list[Event] = []
    problems: set[str] = set()
    known: dict[bytes, dict[str, str]] = {}
    position, size = 0, len(data)
    while position < size:
        if len(events) == MAX_EVENTS:
            return Frames(tuple(events), cut=True, problems=("too_large", *problems))
        if size - position < _PRELUDE.size:
            return Frames(tuple(events), cut=True, problems=tuple(problems))
        total, header_bytes, checksum = _PRELUDE.unpack_from(data, position)
        sound = zlib.crc32(data[position : position + 8]) == checksum
        if not sound:
            problems.add("stream_frame")
        if total < _LEAST or header_bytes > total - _LEAST:
            problems.add("stream_frame")
            return Frames(tuple(events), cut=True, problems=tuple(problems))
        end = position + total
        if end > size:
            return Frames(tuple(events), cut=True, problems=tuple(problems))
        if zlib.crc32(data[position : end - 4]) != _CHECKSUM.unpack_from(data, end - 4)[0]:
            problems.add("stream_frame")
        start = position + _PRELUDE.size
        raw = data[start : start + header_bytes]
        headers = known.get(raw)
        if headers is None:
            headers = known[raw] = _headers(raw, problems)
        payload = data[start + header_bytes : end - 4]
        events.append(Event(_value(payload, headers, problems), _name(headers), end if on_wire else None))
        position = end
    return Frames(tuple(events), problems=tuple(problems))


def _name(headers: dict[str, str]) -> str | None:
    return headers.get(":exception-type") or headers.get(":error-code") or headers.get(":event-type")


def _value(payload: bytes, headers: dict[str, str], problems: set[str]) -> Any:
    if not payload and ":error-message" in headers:
        # An unmodelled error has its text in a header; give it the shape that exceptions have.
        return {"message": headers[":error-message"]}
    try:
        value = values.parse(payload)
    except ValueError:
        if payload.lstrip()[:1] in _BEGINS_JSON:
            problems.add("stream_json")
        return payload.decode("utf-8", "replace")
    if isinstance(value, dict) and isinstance(value.get("bytes"), str):
        return _unwrapped(value, problems)
    return value


def _unwrapped(wrapper: dict[str, Any], problems: set[str]) -> Any:
    """The JSON inside Bedrock's `{"bytes": …}`; metrics that stand outside are carried in. An agent's text stays."""
    inside = b""
    try:
        inside = base64.b64decode(wrapper["bytes"])
        value = values.parse(inside)
    except (binascii.Error, ValueError):
        if not inside or inside.lstrip()[:1] in _BEGINS_JSON:
            problems.add("stream_json")
        return wrapper
    if isinstance(value, dict) and _METRICS in wrapper:
        value.setdefault(_METRICS, wrapper[_METRICS])
    return value


def _headers(raw: bytes, problems: set[str]) -> dict[str, str]:
    """The headers whose values are strings; the rest is passed over."""
    headers: dict[str, str] = {}
    position = 0
    try:
        while position < len(raw):
            name_end = position + 1 + raw[position]
            name = raw[position + 1 : name_end]
            kind = raw[name_end]
            position = name_end + 1
            if kind not in (_BYTES, _STRING):
                position += _WIDTHS[kind]
                continue
            length = int.from_bytes(raw[position : position + 2])
            value = raw[position + 2 : position + 2 + length]
            position += 2 + length
            if kind == _STRING:
                headers[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    except LookupError:
        problems.add("stream_frame")
    if position > len(raw):
        problems.add("stream_frame")
    return headers
