"""One captured body, read: codings undone, framing found, text made.

Owns the order of belief in framing: the look of the bytes before the media type, because
replies are mislabelled in every way there is; the media type decides where the look leaves it
open. Must not know providers.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from llmtoken.decode import aws_event_stream, charset, content, form, json_array, ndjson, sse, values
from llmtoken.decode.frames import Frames
from llmtoken.exchange import Body, Framing
from llmtoken.report import Report

Side = Literal["request", "response"]

BIG = 1024 * 1024
"""Bytes from which on a body is weighed before it is parsed."""
BRIEF = BIG // 4
"""Characters that are surely no more bytes than that."""
MAX_CONTAINERS = 1_000_000
MAX_VALUES = 4_000_000
"""Objects and arrays, and values, in one body: `[[],[],…` makes thirty times its size in memory."""

_FIRST = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(.)", re.DOTALL)
_OBJECTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{")
_DATA_LINE = re.compile(rb"[\r\n]data:")
_AWS = "application/vnd.amazon.eventstream"
_SSE = "text/event-stream"
_NDJSON = frozenset(
    f"{kind}/{name}"
    for kind in ("application", "text")
    for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "stream+json", "json-seq")
)
_BINARY = ("audio/", "image/", "video/", "font/", "application/octet-stream", "application/pdf", "application/zip")


class _MediaType(NamedTuple):
    name: str = ""
    charset: str = ""
    boundary: str | None = None
    leaves_open: bool = True
    """Whether what is a JSON object by its look is one: neither a stream nor another character set is named."""

    @property
    def is_json(self) -> bool:
        return self.name.endswith(("/json", "+json"))

    @property
    def is_text(self) -> bool:
        return self.is_json or bool(self.charset) or self.name.startswith("text/")


class _Framed(NamedTuple):
    framing: Framing
    value: Any = None
    frames: Frames = Frames(())
    cut: bool = False
    problems: tuple[str, ...] = ()
    opaque: bool = False
    """No text: the audit keeps base64."""


def read(report: Report, side: Side, headers: Mapping[str, str], *, limit: int) -> Body:
    """Read one of a report's bodies. `headers` are its own, in lower case; `limit` is in bytes."""
    if side == "request":
        captured, encoding = report.request_body, report.request_body_encoding
        truncated = bool(report.request_truncated)
    else:
        captured, encoding = report.response_body, report.response_body_encoding
        truncated = bool(report.response_truncated)
    if encoding == "text" and not truncated and (body := _plain_object(captured, headers, limit)) is not None:
        return body
    wire = report.request_content() if side == "request" else report.response_content()
    if not wire:
        return Body(truncated=truncated)
    plain = content.decoded(wire, headers.get("content-encoding", ""), limit=limit)
    media_type = _media_type(headers.get("content-type", ""))
    data = charset.to_utf8(plain.data, media_type.charset)
    cut = truncated or plain.cut
    if "content_encoding" in plain.problems and not plain.cut:
        framed = _Framed("binary", opaque=True)  # nothing came out of the coding
    else:
        on_wire = not plain.coded and data is plain.data
        framed = _framed(data, media_type, side, on_wire=on_wire, cut=cut)

    problems = {*plain.problems, *framed.problems, *framed.frames.problems}
    if framed.cut and not cut:
        problems.add(f"{side}_json")
    cut = cut or framed.cut or framed.frames.cut
    if data is wire and framed.opaque == (encoding == "base64"):
        text = captured
    elif framed.opaque:
        text = base64.b64encode(data).decode()
    else:
        text, cut_character, wrong = charset.text(data)
        cut = cut or cut_character
        problems.update(wrong)
    return Body(
        framing=framed.framing,
        text=text,
        encoded=framed.opaque,
        json=framed.value,
        events=framed.frames.events,
        truncated=cut,
        problems=tuple(sorted(problems)),
    )


def _plain_object(captured: str, headers: Mapping[str, str], limit: int) -> Body | None:
    """The body of most calls, read the short way: an object of strict JSON, captured as text. Else `None`."""
    if captured[:1] != "{" or len(captured) > BRIEF or len(captured) > limit // 4 or "content-encoding" in headers:
        return None
    if not _media_type(headers.get("content-type", "")).leaves_open:
        return None
    try:
        return Body(framing="json", text=captured, json=values.fast(captured))
    except (*values.NOT_STRICT, UnicodeEncodeError):
        return None


def _framed(data: bytes, media_type: _MediaType, side: Side, *, on_wire: bool, cut: bool) -> _Framed:
    """The body by its look and label. `cut` says that its end is known to be missing."""
    if data.startswith(b"{") and len(data) <= BIG and media_type.leaves_open:
        try:
            return _Framed("json", values.fast(data))
        except values.NOT_STRICT:
            pass
    match = _FIRST.match(data)
    if match is None:
        return _Framed("empty")
    if len(data) > BIG and _too_heavy(data):
        return _unframed(data, media_type, ("too_large",))
    if match[1] in b"{[":
        framed = _several(data, media_type, side, on_wire=on_wire) or _one(data, side, cut=cut)
    else:
        framed = _stream(data, media_type, on_wire=on_wire) or _form(data, media_type, side)
        if framed is None and (match[1] == b'"' or media_type.is_json):
            framed = _value(data)
    return framed or _unframed(data, media_type, (f"{side}_json",) if media_type.is_json else ())


def _several(data: bytes, media_type: _MediaType, side: Side, *, on_wire: bool) -> _Framed | None:
    """A stream that begins like an object or an array."""
    if media_type.name == _SSE and _DATA_LINE.search(data):
        return _Framed("sse", frames=sse.read(data, on_wire=on_wire))
    if media_type.name in _NDJSON or ndjson.looks_like(data):
        frames = ndjson.read(data, on_wire=on_wire)
        # One value on several lines may be labelled so too: an error, as a rule.
        return (_value(data) if frames.problems else None) or _Framed("ndjson", frames=frames)
    if side == "response" and _OBJECTS.match(data):
        frames = json_array.read(data, on_wire=on_wire)
        elements = [event.data for event in frames.events]
        if elements and all(isinstance(element, dict) for element in elements):
            return _Framed("json_array", elements, frames)
    return None


def _one(data: bytes, side: Side, *, cut: bool) -> _Framed | None:
    """An object or an array: whole, with rubbish behind it, or the beginning of it."""
    if cut:
        # The tolerant reading would most likely fail, and slowly.
        try:
            return _Framed("json", values.fast(data))
        except values.NOT_STRICT:
            salvaged = _salvaged(data)
        if salvaged is not None:
            return salvaged
    try:
        return _Framed("json", values.parse(data))
    except values.Trailing as error:
        return _Framed("json", error.value, problems=(f"{side}_json",)) if isinstance(error.value, dict) else None
    except ValueError:
        return _salvaged(data)


def _value(data: bytes) -> _Framed | None:
    try:
        return _Framed("json", values.parse(data))
    except ValueError:
        return None


def _salvaged(data: bytes) -> _Framed | None:
    try:
        return _Framed("json", values.salvage(data), cut=True)
    except ValueError:
        return None


def _stream(data: bytes, media_type: _MediaType, *, on_wire: bool) -> _Framed | None:
    if sse.looks_like(data) or (media_type.name == _SSE and sse.begins_like(data)):
        return _Framed("sse", frames=sse.read(data, on_wire=on_wire))
    if media_type.name == _AWS or aws_event_stream.looks_like(data):
        return _Framed("aws_event_stream", frames=aws_event_stream.read(data, on_wire=on_wire), opaque=True)
    if media_type.name in _NDJSON:
        return _Framed("ndjson", frames=ndjson.read(data, on_wire=on_wire))
    return None


def _form(data: bytes, media_type: _MediaType, side: Side) -> _Framed | None:
    if media_type.name == "application/x-www-form-urlencoded":
        try:
            return _Framed("json", form.urlencoded(data))
        except ValueError:
            return _Framed("text", problems=(f"{side}_json",))
    boundary = media_type.boundary or form.boundary_of(data)
    if boundary is None:
        return None
    fields, cut = form.multipart(data, boundary)
    return _Framed("json", fields, cut=cut, opaque=bool(charset.text(data).problems))


def _unframed(data: bytes, media_type: _MediaType, problems: tuple[str, ...]) -> _Framed:
    if media_type.name.startswith(_BINARY) or not (content.is_plain(data) or media_type.is_text):
        return _Framed("binary", opaque=True, problems=problems)
    return _Framed("text", problems=problems)


def _too_heavy(data: bytes) -> bool:
    containers = data.count(b"[") + data.count(b"{")
    return containers > MAX_CONTAINERS or data.count(b",") > MAX_VALUES


_PARAMETER = re.compile(r';\s*(charset|boundary)=(?:"([^"]*)"|([^;\s]*))', re.IGNORECASE)


@functools.lru_cache(maxsize=256)
def _media_type(header: str) -> _MediaType:
    name = header.partition(";")[0].strip().lower()
    parameters = {match[1].lower(): match[2] or match[3] or "" for match in _PARAMETER.finditer(header)}
    boundary = parameters.get("boundary") if name == "multipart/form-data" else None
    named = parameters.get("charset", "")
    leaves_open = name != _SSE and name not in _NDJSON and named.lower() in ("", "utf-8")
    return _MediaType(name, named, boundary, leaves_open)
