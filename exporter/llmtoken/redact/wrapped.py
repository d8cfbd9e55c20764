"""Bodies that are stored as base64, as the text in them, and back again with that text changed.

An AWS event stream becomes its payloads, unwrapped where Bedrock wraps them, one behind the
other; with other texts in them it becomes a stream again whose lengths and checksums are
right. Anything else is its bytes. Must not know rules.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

SEPARATOR = b"\n\x1e\n"
"""Between the parts of a stream; no finding may reach across."""

_PRELUDE = struct.Struct(">III")
_LENGTH = struct.Struct(">H")
_LEAST = 16
_WIDTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: None, 7: None, 8: 8, 9: 16}
"""Bytes of a header's value by its type; `None` where two bytes say it."""
_STRING = 7

_BYTES = re.compile(rb'"bytes"\s*:\s*"([A-Za-z0-9+/=]*)"')

Closing = Callable[[bytes], str]
"""Makes the stored text of the inner text."""


def opened(text: str, *, stream: bool) -> tuple[bytes, Closing]:
    """The text within base64, and how to put another in its place. Raises `ValueError` for what isn't base64."""
    data = base64.b64decode(text, validate=True)
    messages = _messages(data) if stream else None
    if messages is None:
        return data, _encoded
    parts = [part for message in messages for part in message.parts()]

    def close(changed: bytes) -> str:
        pieces = changed.split(SEPARATOR)
        if len(pieces) != len(parts):
            raise ValueError("parts of an event stream ran together")
        given = iter(pieces)
        return _encoded(b"".join(message.rebuilt(given) for message in messages or ()))

    return SEPARATOR.join(parts), close


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class _Header(NamedTuple):
    name: bytes
    kind: int
    value: bytes

    def encoded(self) -> bytes:
        length = _LENGTH.pack(len(self.value)) if _WIDTHS[self.kind] is None else b""
        return bytes([len(self.name)]) + self.name + bytes([self.kind]) + length + self.value


class _Message(NamedTuple):
    """One message; `tail` is what stands behind the last whole one, as it stands."""

    headers: list[_Header]
    payload: bytes
    wrapped: tuple[int, int] | None = None
    """Where in the payload there is base64 with the model's own words."""
    tail: bool = False

    def parts(self) -> Iterator[bytes]:
        yield from (header.value for header in self.headers if header.kind == _STRING)
        if self.wrapped is not None:
            yield base64.b64decode(self.payload[slice(*self.wrapped)])
            yield self.payload[: self.wrapped[0]] + self.payload[self.wrapped[1] :]
        else:
            yield self.payload

    def rebuilt(self, given: Iterator[bytes]) -> bytes:
        headers = [
            header._replace(value=next(given)[:65535]) if header.kind == _STRING else header for header in self.headers
        ]
        if self.wrapped is None:
            payload = next(given)
        else:
            inner, outer = base64.b64encode(next(given)), next(given)
            found = _BYTES.search(outer)
            place = found.start(1) if found else len(outer)
            payload = outer[:place] + inner + outer[place:]
        if self.tail:
            return payload
        head = b"".join(header.encoded() for header in headers)
        lengths = struct.pack(">II", _LEAST + len(head) + len(payload), len(head))
        message = lengths + zlib.crc32(lengths).to_bytes(4) + head + payload
        return message + zlib.crc32(message).to_bytes(4)


def _messages(data: bytes) -> list[_Message] | None:
    """The messages of a stream, and what is left behind them; `None` when it isn't such a stream."""
    messages: list[_Message] = []
    position = 0
    while position < len(data):
        message, end = _message(data, position)
        if message is None:
            if not messages:
                return None
            messages.append(_Message([], data[position:], _wrapped(data[position:]), tail=True))
            break
        messages.append(message)
        position = end
    return messages


def _message(data: bytes, position: int) -> tuple[_Message | None, int]:
    if len(data) - position < _LEAST:
        return None, position
    total, header_bytes, _ = _PRELUDE.unpack_from(data, position)
    start, end = position + _PRELUDE.size, position + total
    if total < _LEAST or header_bytes > total - _LEAST or end > len(data):
        return None, position
    headers = _headers(data[start : start + header_bytes])
    if headers is None:
        return None, position
    payload = data[start + header_bytes : end - 4]
    return _Message(headers, payload, _wrapped(payload)), end


def _wrapped(payload: bytes) -> tuple[int, int] | None:
    found = _BYTES.search(payload)
    if found is None:
        return None
    try:
        base64.b64decode(found[1], validate=True)
    except binascii.Error:
        return None
    return found.span(1)


def _headers(raw: bytes) -> list[_Header] | None:
    headers: list[_Header] = []
    position = 0
    while position < len(raw):
        name_end = position + 1 + raw[position]
        name, kind = raw[position + 1 : name_end], raw[name_end] if name_end < len(raw) else -1
        if kind not in _WIDTHS:
            return None
        position = name_end + 1
        width = _WIDTHS[kind]
        if width is None:
            width = int.from_bytes(raw[position : position + 2])
            position += 2
        headers.append(_Header(name, kind, raw[position : position + width]))
        position += width
    return headers if position == len(raw) else None
