"""Bodies captured as bytes, decoded: for tests of what stands on the wire."""

from __future__ import annotations

import base64
import struct
import zlib

from llmtoken.decode import decode
from llmtoken.exchange import Body
from llmtoken.report import Report

LIMIT = 4 * 1024 * 1024


def reply(body: bytes, content_type: str = "", coding: str = "", *, limit: int = LIMIT, cut: bool = False) -> Body:
    """The decoded reply whose bytes these are; `cut` says that the capture stopped at its limit."""
    return decode(_report(b"", body, _headers(content_type, coding), cut=cut), max_body_bytes=limit).response


def request(body: bytes, content_type: str = "", coding: str = "", *, limit: int = LIMIT, cut: bool = False) -> Body:
    """The decoded request whose bytes these are."""
    return decode(_report(body, b"", _headers(content_type, coding), cut=cut), max_body_bytes=limit).request


def message(payload: bytes, **headers: str) -> bytes:
    """One message of Amazon's event stream; `event_type="chunk"` makes the header `:event-type`."""
    named = b"".join(_string_header(f":{name.replace('_', '-')}", value) for name, value in headers.items())
    return framed(named, payload)


def framed(headers: bytes, payload: bytes) -> bytes:
    """A message around headers that are already encoded."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    covered = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return covered + struct.pack(">I", zlib.crc32(covered))


def _string_header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()


def _headers(content_type: str, coding: str) -> dict[str, str]:
    named = {"content-type": content_type, "content-encoding": coding}
    return {name: value for name, value in named.items() if value}


def _report(request_body: bytes, response_body: bytes, headers: dict[str, str], *, cut: bool) -> Report:
    return Report(
        request_body=base64.b64encode(request_body).decode(),
        response_body=base64.b64encode(response_body).decode(),
        request_body_encoding="base64",
        response_body_encoding="base64",
        request_headers=headers,
        response_headers=headers,
        request_truncated=cut,
        response_truncated=cut,
        elapsed_time=1.0,
    )
