"""The wire record: what the plugin (or anyone) posts about one exchange.

Owns the schema of DESIGN §3, its bounds and its validation. Must not know what the
bodies mean: they are carried as they came.

Two forms arrive: one JSON object (`parse_one`, the seed's form), or NDJSON, one object a
line (`parse_lines`), where a bad line is rejected alone. Unknown fields are ignored, so
a newer plugin can talk to an older collector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from llmtoken.errors import NotJSON, ReportError, TooLarge

BodyEncoding = Literal["text", "base64"]

Name = Annotated[str, msgspec.Meta(max_length=256)]
Line = Annotated[str, msgspec.Meta(max_length=8192)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=31_622_400)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Headers = Annotated[dict[Name, Line], msgspec.Meta(max_length=64)]
Labels = Annotated[dict[Name, Name], msgspec.Meta(max_length=32)]
Reasons = Annotated[dict[Name, Count], msgspec.Meta(max_length=32)]
Timeline = Annotated[list[tuple[Count, Seconds]], msgspec.Meta(max_length=4096)]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The loss ledger: where this report stands in its plugin's life, and what was lost before it.

    `dropped` and `failed` count reports since `boot` that never will arrive. `dropped_by` and
    `failed_by` say why, as far as the plugin knows; the totals are what counts.
    """

    boot: Name = ""
    sequence: Count = 0
    dropped: Count = 0
    failed: Count = 0
    dropped_by: Reasons = {}
    failed_by: Reasons = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange as the proxy saw it. Times are seconds since the request came in."""

    request_body: str
    response_body: str
    elapsed_time: Seconds

    path: Line | None = None
    timestamp: datetime | None = None
    request_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None

    version: Count = 0
    method: Name | None = None
    host: Name | None = None
    query: Line | None = None
    status: Annotated[int, msgspec.Meta(ge=100, le=999)] | None = None
    request_body_encoding: BodyEncoding = "text"
    response_body_encoding: BodyEncoding = "text"
    request_headers: Headers = {}
    response_headers: Headers = {}
    request_bytes: Count | None = None
    response_bytes: Count | None = None
    request_truncated: bool | None = None
    response_truncated: bool | None = None
    time_to_first_byte: Seconds | None = None
    timeline: Timeline = []
    aborted: Literal["", "client", "upstream"] | None = None
    consumer: Name | None = None
    upstream: Name | None = None
    provider: Name | None = None
    labels: Labels = {}
    middleware: Name | None = None
    capture_bodies: Literal["full", "none", "never"] | None = None
    source: Source | None = None

    def started_at(self, received: datetime) -> datetime:
        """When the request came in, in UTC.

        Our plugin stamps the start. The seed's plugin (version 0) stamps the end, so its
        elapsed time is taken off. `received` stands in when the report has no time, or one
        past the calendar's ends (the year 1 is Go's zero time).
        """
        stamp = self.timestamp or received
        try:
            if stamp.tzinfo is not UTC:
                stamp = stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp.astimezone(UTC)
            return stamp if self.version else stamp - timedelta(seconds=self.elapsed_time)
        except OverflowError:
            return received

    def request_content(self) -> bytes:
        """The captured request body as it was on the wire."""
        return _content(self.request_body, self.request_body_encoding)

    def response_content(self) -> bytes:
        """The captured response body as it was on the wire."""
        return _content(self.response_body, self.response_body_encoding)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that could not be accepted: its number from 0 and what was wrong with it."""

    line: int
    error: str


MAX_LINES = 100_000
"""Lines of one NDJSON request; each costs memory even when it is rejected."""

_MAX_ERROR = 500
"""Characters of an error that are passed on; it may quote the sender's own value."""

REQUIRED = tuple(field.name for field in msgspec.structs.fields(Report) if field.required)
"""The fields that a report can't do without."""

_one = msgspec.json.Decoder(Report)
_ledger = msgspec.json.Decoder(Source)

MAX_LEDGER = 8192
"""Characters of the header `Llmtoken-Source`."""

_HINT = "send the fields of docs/report.md; request_body, response_body and elapsed_time are required"


def parse_one(data: bytes | memoryview) -> Report:
    """Read one report. Raises `NotJSON` when it isn't JSON, `ReportError` when it breaks the schema."""
    try:
        report = _one.decode(data)
    except msgspec.ValidationError as error:
        raise ReportError(f"The report breaks the schema: {_short(error)}", hint=_HINT) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJSON(f"The report isn't JSON: {_short(error)}", hint="send one JSON object in UTF-8") from error
    _check_base64(report)
    return report


def parse_ledger(header: str) -> Source:
    """Read the ledger that a plugin sends beside its reports. Raises `ReportError`."""
    hint = "send the object of docs/report.md, with boot and sequence"
    if len(header) > MAX_LEDGER:
        raise ReportError(f"The header Llmtoken-Source is longer than {MAX_LEDGER} characters", hint=hint)
    try:
        return _ledger.decode(header)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ReportError(f"The header Llmtoken-Source can't be read: {_short(error)}", hint=hint) from error


def from_fields(fields: Mapping[str, Any]) -> Report:
    """A report of values that were kept elsewhere, under the same bounds. Raises `ReportError`."""
    try:
        report = msgspec.convert(fields, Report)
    except msgspec.ValidationError as error:
        raise ReportError(f"The report breaks the schema: {_short(error)}", hint=_HINT) from error
    _check_base64(report)
    return report


def parse_lines(data: bytes) -> tuple[list[tuple[int, Report]], list[Rejected]]:
    """Read NDJSON. Returns the good reports with their line numbers, and the rejected lines.

    Blank lines are skipped but counted, so that numbers match the sender's. Raises `TooLarge`
    for more than `MAX_LINES` lines.
    """
    reports: list[tuple[int, Report]] = []
    rejected: list[Rejected] = []
    for number, line in _lines(data):
        try:
            reports.append((number, parse_one(line)))
        except ReportError as error:
            if not bytes(line).isspace():
                rejected.append(Rejected(number, str(error)))
    return reports, rejected


def _lines(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """Lines that aren't empty, with their numbers. Neither `split` nor `count` is quick where lines are long."""
    view = memoryview(data)
    start = number = 0
    while start < len(data):
        end = data.find(b"\n", start)
        if end < 0:
            end = len(data)
        elif number == MAX_LINES:
            raise TooLarge(f"The request has more than {MAX_LINES} lines", hint="send smaller batches")
        if end > start:
            yield number, view[start:end]
        start, number = end + 1, number + 1


def _content(body: str, encoding: BodyEncoding) -> bytes:
    if encoding == "base64":
        # A fifth of the time that the standard library takes, and strict.
        return msgspec.convert(body, bytes)
    # A report made in Python can hold lone surrogates; keep them rather than lose it.
    return body.encode("utf-8", "surrogatepass")


def _check_base64(report: Report) -> None:
    """Refuse a body that says it is base64 and isn't, while the sender still listens."""
    if report.request_body_encoding == "text" and report.response_body_encoding == "text":
        return
    for name in ("request_body", "response_body"):
        if getattr(report, f"{name}_encoding") == "base64":
            try:
                _content(getattr(report, name), "base64")
            except msgspec.ValidationError as error:
                raise ReportError(f"{name} says it is base64 and isn't", hint=_HINT) from error


def _short(error: Exception) -> str:
    return str(error)[:_MAX_ERROR]
