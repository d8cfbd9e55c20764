"""HTML forms as one value: multipart/form-data (audio, image edits) and urlencoded.

A text field is kept as text under its name, a list where the name comes again (a trailing
`[]` is part of the name). A file is kept as `{"filename", "content_type", "bytes"}`: its
name, type and size, never its content. Must not know what fields mean.

Source: https://www.rfc-editor.org/rfc/rfc7578
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from llmtoken.decode import charset

MAX_FIELDS = 1000
_MAX_PART_HEADERS = 8192

_SNIFF = re.compile(rb"--([^\r\n]{1,200})\r?\ncontent-disposition: ?form-data", re.IGNORECASE)
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_PARAMETER = re.compile(r';\s*(name|filename)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.IGNORECASE)
_CONTENT_TYPE = re.compile(r"^content-type:\s*(\S[^;\r\n]*)", re.IGNORECASE | re.MULTILINE)


def boundary_of(data: bytes) -> str | None:
    """The boundary of a body that looks like multipart/form-data although no header says so."""
    match = _SNIFF.match(data)
    return match[1].decode("latin-1") if match else None


def multipart(data: bytes, boundary: str) -> tuple[dict[str, Any], bool]:
    """The fields, and whether the closing delimiter is missing; a text field that is cut is left out."""
    delimiter = b"--" + boundary.encode("utf-8", "replace")
    line_end = b"\r\n" if delimiter + b"\r\n" in data else b"\n"
    parts = (line_end + data).split(line_end + delimiter, MAX_FIELDS + 1)[1:]
    fields: dict[str, Any] = {}
    for number, part in enumerate(parts, 1):
        if part.startswith(b"--"):
            return fields, False
        _add_part(fields, part, whole=number < len(parts))
    return fields, True


def urlencoded(data: bytes) -> dict[str, Any]:
    """The fields. Raises `ValueError` when there are too many."""
    fields: dict[str, Any] = {}
    text = charset.text(data).text
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS):
        _add(fields, name, value)
    return fields


def _add_part(fields: dict[str, Any], part: bytes, *, whole: bool) -> None:
    end = _HEADERS_END.search(part, 0, _MAX_PART_HEADERS)
    if end is None:
        return
    headers = charset.text(part[: end.start()]).text
    parameters = {match[1].lower(): match[2] or match[3] or "" for match in _PARAMETER.finditer(headers)}
    name = parameters.get("name")
    if name is None:
        return
    content_type = _CONTENT_TYPE.search(headers)
    if "filename" in parameters:
        kind = content_type[1].strip() if content_type else None
        _add(fields, name, {"filename": parameters["filename"], "content_type": kind, "bytes": len(part) - end.end()})
    elif whole:
        _add(fields, name, charset.text(part[end.end() :]).text)


def _add(fields: dict[str, Any], name: str, value: Any) -> None:
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]
