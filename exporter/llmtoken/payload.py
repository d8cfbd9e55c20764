"""A request to `/api/report` as bytes, and the reports in it.

Owns the two forms (one object, NDJSON), gzip and its cap. Must not know HTTP or what
happens to the reports.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llmtoken.errors import NotJSON, ReportError, TooLarge
from llmtoken.report import Rejected, Report, Source, parse_ledger, parse_lines, parse_one

Form = Literal["one", "lines"]


@dataclass(frozen=True, slots=True)
class Content:
    """The reports of a payload, the lines that were refused, and the unpacked size in bytes.

    Beside them the sender's ledger, or else what was wrong with the one that it sent.
    """

    reports: Sequence[Report]
    rejected: Sequence[Rejected]
    size: int
    ledger: Source | None = None
    ledger_problem: str | None = None


def parse(data: bytes, *, form: Form, gzipped: bool, limit: int, ledger: str | None = None) -> Content:
    """Unpack and read a payload, and the `ledger` of its header.

    Raises `TooLarge` past `limit` bytes, `NotJSON` for what isn't JSON (or gzip), `ReportError`
    for a single report that breaks the schema. In NDJSON a bad line is refused alone. A bad
    ledger is only noted: it must never cost reports.
    """
    if gzipped:
        data = gunzip(data, limit)
    if form == "one":
        content = Content([parse_one(data)], [], len(data))
    else:
        reports, rejected = parse_lines(data)
        content = Content([report for _, report in reports], rejected, len(data))
    if ledger is None:
        return content
    try:
        return replace(content, ledger=parse_ledger(ledger))
    except ReportError as error:
        return replace(content, ledger_problem=error.message)


def gunzip(data: bytes, limit: int) -> bytes:
    """Unpack gzip, never making more than `limit` bytes. Raises `TooLarge` or `NotJSON`."""
    unpacked = bytearray()
    while data:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            unpacked += member.decompress(data, limit + 1 - len(unpacked))
        except zlib.error as error:
            raise NotJSON(f"The request isn't gzip: {error}", hint="check Content-Encoding") from error
        if len(unpacked) > limit:
            raise TooLarge(
                f"The request unpacks to more than {limit} bytes",
                hint="send smaller batches, or raise LLMTOKEN_MAX_REQUEST_BYTES",
            )
        if not member.eof:
            raise NotJSON("The gzip stream ends too early", hint="send the whole request")
        data = member.unused_data
    return bytes(unpacked)
