"""One report in, one record out: decode, extract, count, price, join.

The only place that knows the order of these steps. It never raises: a defect of ours in
any of them still gives an honest record (`usage_source` unknown) and the problem `defect`,
because unknown traffic is audited too. Must not know queues, databases or HTTP.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec.structs import replace

from llmtoken import call, decode, extract, pricing
from llmtoken.call import Parts, Record
from llmtoken.config import Settings
from llmtoken.count import Comparison, Counter
from llmtoken.errors import tell
from llmtoken.exchange import Exchange
from llmtoken.inference import COUNTS, Extraction, Inference, add_up
from llmtoken.redact import Redacted, Redactor
from llmtoken.report import Report

log = logging.getLogger(__name__)

PROBLEMS = (
    decode.PROBLEMS
    | extract.PROBLEMS
    | {
        "defect": "an error of ours while reading; please report it",
        "uncounted": "an error of ours while counting tokens; please report it",
    }
)
"""What can be wrong with an exchange, and what it means. The names are a metric's label."""


GROUP = 64 * 1024
"""Characters of bodies from which on those read so far are redacted, because until then they are held unpacked."""


class Reading(msgspec.Struct, frozen=True):
    """A record, the problems met on the way to it, and how counting it ourselves would have done."""

    report: Report
    record: Record
    problems: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    redactions: Mapping[str, int] = {}
    """How often each rule found something in the record, which is without it."""
    unredacted: bool = False
    """Whether the record has lost its texts, because something in them could not be redacted."""


def read(
    report: Report,
    settings: Settings,
    counter: Counter | None = None,
    redactor: Redactor | None = None,
    *,
    received: datetime | None = None,
) -> Reading:
    """Read one report. A report without a `request_id` gets a fresh one.

    `counter` is what counts where usage is missing: one that has learned from this deployment's
    traffic, or else one that has not. Without a `redactor` nothing is redacted.
    """
    reading, exchange = _unredacted(report, settings, counter or Counter(), received or datetime.now(UTC))
    return reading if redactor is None else _redacted(reading, redactor.redact(reading.record, exchange))


def read_all(
    reports: Iterable[Report], settings: Settings, counter: Counter, redactor: Redactor | None = None
) -> list[Reading]:
    """As `read`, of several that came together."""
    received = datetime.now(UTC)
    readings: list[Reading] = []
    group: list[tuple[Reading, Exchange | None]] = []
    size = 0
    for report in reports:
        reading, exchange = _unredacted(report, settings, counter, received)
        group.append((reading, exchange))
        if exchange is not None:
            size += len(exchange.request.text) + len(exchange.response.text)
        if size > GROUP:
            readings += _all_redacted(group, redactor)
            group, size = [], 0
    readings += _all_redacted(group, redactor)
    return readings


def _all_redacted(group: Sequence[tuple[Reading, Exchange | None]], redactor: Redactor | None) -> Iterator[Reading]:
    if redactor is None:
        return (reading for reading, _ in group)
    found = redactor.redact_all([(reading.record, exchange) for reading, exchange in group])
    return (_redacted(reading, one) for (reading, _), one in zip(group, found, strict=True))


def _unredacted(
    report: Report, settings: Settings, counter: Counter, received: datetime
) -> tuple[Reading, Exchange | None]:
    request_id = report.request_id or _fresh_id()
    try:
        return _read(report, settings, counter, request_id, received)
    except Exception as error:  # noqa: BLE001 - told
        # The report was valid, so it must be kept whatever we got wrong; the caller counts `defect`.
        tell(log, error, "Could not read report %s", request_id)
        bare = call.build(report, Inference(), request_id=request_id, received=received)
        keep = _keeps_bodies(report, settings)
        record = Record(
            call=bare,
            request_body=report.request_body if keep else None,
            response_body=report.response_body if keep else None,
        )
        return Reading(report, record, ("defect",)), None


def _fresh_id() -> str:
    """Unique, and growing with time: new rows then share the pages of the database's index."""
    return f"{time.time_ns():016x}{os.urandom(8).hex()}"


def warm_up(settings: Settings) -> None:
    """Read a made-up call without usage, so that all tables are loaded before the first real one comes.

    Takes about a second the first time in a process, else a millisecond.
    """
    read(_MADE_UP, settings)


_MADE_UP = Report(
    request_body='{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}',
    response_body='{"object": "chat.completion", "model": "gpt-4o", "choices": [{"index": 0, "finish_reason": "stop", '
    '"message": {"role": "assistant", "content": "Hello"}}]}',
    elapsed_time=1.0,
    method="POST",
    host="api.openai.com",
    path="/v1/chat/completions",
    status=200,
)


def _read(
    report: Report, settings: Settings, counter: Counter, request_id: str, received: datetime
) -> tuple[Reading, Exchange]:
    exchange: Exchange = decode.decode(report, max_body_bytes=settings.max_body_bytes)
    extraction = extract.extract(exchange)
    inference, comparisons, uncounted = _count(report, extraction, counter)
    started_at = report.started_at(received)
    price = _price(inference, started_at, report, settings)
    row = call.build(
        report,
        inference,
        request_id=request_id,
        received=received,
        complete=extraction.complete,
        cost=price.amount if price else None,
        price_version=price.version if price else None,
    )
    # Captured whole, but what is stored is only the beginning of what it unpacked to.
    if "too_large" in exchange.request.problems:
        row = replace(row, request_truncated=True)
    if "too_large" in exchange.response.problems:
        row = replace(row, response_truncated=True)
    keep = _keeps_bodies(report, settings)
    record = Record(
        call=row,
        request_body=exchange.request.text if keep else None,
        response_body=exchange.response.text if keep else None,
        fetched=inference.fetched,
        parts=_parts(inference, started_at, report, settings) if inference.parts else None,
    )
    problems = (*exchange.request.problems, *exchange.response.problems, *extraction.problems, *uncounted)
    return Reading(report, record, problems, comparisons), exchange


def _price(inference: Inference, started_at: datetime, report: Report, settings: Settings) -> pricing.Price | None:
    return pricing.price(inference, started_at, duration=report.elapsed_time, own=settings.prices)


def _parts(inference: Inference, started_at: datetime, report: Report, settings: Settings) -> Parts:
    def without(ids: Collection[str]) -> Mapping[str, Any]:
        usage = add_up(part.usage for part in inference.parts if part.id not in ids)
        price = _price(replace(inference, usage=usage), started_at, report, settings)
        return {
            **{name: getattr(usage, name) for name in COUNTS},
            "cost": price.amount if price else None,
            "price_version": price.version if price else None,
        }

    return Parts(tuple(part.id for part in inference.parts), without)


def _redacted(reading: Reading, found: Redacted) -> Reading:
    """As it may be stored and shown; what is learned about counting would show the model's name."""
    if found.record is reading.record:
        return reading
    named_alike = found.record.call.request_model == reading.record.call.request_model
    named_alike = named_alike and found.record.call.response_model == reading.record.call.response_model
    return replace(
        reading,
        record=found.record,
        comparisons=reading.comparisons if named_alike else (),
        redactions=found.counts,
        unredacted=found.failed,
    )


def _count(
    report: Report, extraction: Extraction, counter: Counter
) -> tuple[Inference, tuple[Comparison, ...], tuple[str, ...]]:
    """The inference with its usage filled, comparisons when it is their turn, and what went wrong."""
    if report.response_truncated and not report.response_body:
        # Of a reply that nobody captured it isn't known that it said nothing.
        extraction = replace(extraction, completion=lambda: None)
    try:
        inference = counter.complete(extraction)
        # Of a request that was captured in part the texts are not all there.
        comparisons = () if report.request_truncated else counter.compare(extraction)
    except Exception as error:  # noqa: BLE001 - told
        # What was read without counting is kept; the caller counts `uncounted`.
        tell(log, error, "Could not count the tokens of a call to %s", extraction.api)
        return extraction.inference, (), ("uncounted",)
    return inference, comparisons, ()


def _keeps_bodies(report: Report, settings: Settings) -> bool:
    if settings.capture_bodies != "full" or report.capture_bodies not in (None, "full"):
        return False
    private = settings.private_consumers
    return not (private and any(fnmatchcase(report.consumer or "", pattern) for pattern in private))
