"""One report in, one record out: decode, extract, count, price, join.

The only place that knows the order of these steps. It never raises: a defect of ours in
any of them still gives an honest record (`usage_source` unknown) and the problem `defect`,
because unknown traffic is audited too. Must not know queues, databases or HTTP.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from llmtoken import call, count, decode, extract, pricing
from llmtoken.call import Record
from llmtoken.config import Settings
from llmtoken.exchange import Exchange
from llmtoken.inference import Inference
from llmtoken.report import Report

log = logging.getLogger(__name__)

PROBLEMS = decode.PROBLEMS | extract.PROBLEMS | {"defect": "an error of ours while reading; please report it"}
"""What can be wrong with an exchange, and what it means. The names are a metric's label."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A record and the problems met on the way to it."""

    report: Report
    record: Record
    problems: tuple[str, ...] = ()


def read(report: Report, settings: Settings, *, received: datetime | None = None) -> Reading:
    """Read one report. A report without a `request_id` gets a fresh one."""
    received = received or datetime.now(UTC)
    request_id = report.request_id or uuid.uuid4().hex
    try:
        return _read(report, settings, request_id, received)
    except Exception:
        # The report was valid, so it must be kept whatever we got wrong; the caller counts `defect`.
        log.exception("Could not read report %s (%s %s)", request_id, report.method, report.path)
        bare = call.build(report, Inference(), request_id=request_id, received=received)
        keep = _keeps_bodies(report, settings)
        return Reading(
            report,
            Record(
                call=bare,
                request_body=report.request_body if keep else None,
                response_body=report.response_body if keep else None,
            ),
            ("defect",),
        )


def _read(report: Report, settings: Settings, request_id: str, received: datetime) -> Reading:
    exchange: Exchange = decode.decode(report, max_body_bytes=settings.max_body_bytes)
    extraction = extract.extract(exchange)
    inference = count.complete(extraction)
    price = pricing.price(inference, report.started_at(received))
    row = call.build(
        report,
        inference,
        request_id=request_id,
        received=received,
        cost=price.amount if price else None,
        price_version=price.version if price else None,
    )
    keep = _keeps_bodies(report, settings)
    return Reading(
        report,
        Record(
            call=row,
            request_body=exchange.request.text if keep else None,
            response_body=exchange.response.text if keep else None,
        ),
        (*exchange.request.problems, *exchange.response.problems, *extraction.problems),
    )


def _keeps_bodies(report: Report, settings: Settings) -> bool:
    return settings.capture_bodies == "full" and report.capture_bodies in (None, "full")
