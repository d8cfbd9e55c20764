"""One finished call, as it goes into the audit and onto the metrics.

Joins what the proxy saw (`Report`) with what the exchange said (`Inference`). The
fields are exactly the names of DESIGN §5: the API's JSON keys and the audit's columns;
what only some APIs say is in `details`, behind them.
Must not know how either of them stores or shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from llmtoken.inference import Details, Inference, UsageSource
from llmtoken.report import Report


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the audit. Unknown is `None`; durations are seconds; `cost` is US dollars."""

    request_id: str
    started_at: datetime
    method: str | None
    path: str | None
    host: str | None
    http_status: int | None
    stream: bool
    aborted: str | None
    operation_name: str | None
    provider_name: str | None
    server_address: str | None
    server_port: int | None
    request_model: str | None
    response_model: str | None
    response_id: str | None
    finish_reasons: tuple[str, ...]
    error_type: str | None
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cache_read_input_tokens: int | None
    cache_write_input_tokens: int | None
    reasoning_output_tokens: int | None
    input_audio_tokens: int | None
    output_audio_tokens: int | None
    usage_source: UsageSource
    duration: float
    time_to_first_byte: float | None
    time_to_first_chunk: float | None
    time_per_output_chunk: float | None
    tokens_per_second: float | None
    tool_calls: int | None
    consumer: str | None
    cost: Decimal | None
    price_version: str | None
    middleware: str | None
    labels: Mapping[str, str]
    request_bytes: int | None
    response_bytes: int | None
    request_truncated: bool | None
    response_truncated: bool | None
    details: Details = msgspec.field(default_factory=dict)


class Parts(msgspec.Struct, frozen=True):
    """What a call's tokens are made up of, where that may be told by other calls too."""

    ids: tuple[str, ...]
    without: Callable[[Collection[str]], Mapping[str, Any]]
    """What the call's fields are when other calls have the tokens of these parts, but not of all."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A call with its bodies as text, the unit that is committed."""

    call: Call
    request_body: str | None
    response_body: str | None
    fetched: bool = False
    """Whether the call generated nothing: its reply was made for an earlier one, which may have its tokens."""
    parts: Parts | None = None


def build(
    report: Report,
    inference: Inference,
    *,
    request_id: str,
    received: datetime,
    complete: bool = False,
    cost: Decimal | None = None,
    price_version: str | None = None,
) -> Call:
    """Join what was seen and what was said. `received` stands in for a missing timestamp.

    A reply that is `complete` wasn't broken off, whoever hung up then: OpenAI's SDK closes the
    connection as soon as it has read `[DONE]`, which the proxy takes for a client that left.
    """
    usage, timing = inference.usage, inference.timing
    return Call(
        request_id=request_id,
        started_at=report.started_at(received),
        method=report.method,
        path=report.path,
        host=report.host,
        http_status=report.status,
        stream=inference.stream,
        aborted="" if complete and report.aborted else report.aborted,
        operation_name=inference.operation_name,
        provider_name=inference.provider_name,
        server_address=inference.server_address,
        server_port=inference.server_port,
        request_model=inference.request_model,
        response_model=inference.response_model,
        response_id=inference.response_id,
        finish_reasons=inference.finish_reasons,
        error_type=inference.error_type,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_write_input_tokens=usage.cache_write_input_tokens,
        reasoning_output_tokens=usage.reasoning_output_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        usage_source=usage.source,
        duration=report.elapsed_time,
        time_to_first_byte=timing.time_to_first_byte,
        time_to_first_chunk=timing.time_to_first_chunk,
        time_per_output_chunk=timing.time_per_output_chunk,
        tokens_per_second=None if inference.fetched else _speed(usage.output_tokens, report.elapsed_time),
        tool_calls=inference.tool_calls,
        consumer=report.consumer,
        cost=cost,
        price_version=price_version,
        middleware=report.middleware,
        labels=report.labels,
        request_bytes=report.request_bytes,
        response_bytes=report.response_bytes,
        request_truncated=report.request_truncated,
        response_truncated=report.response_truncated,
        details=_details(inference),
    )


def _details(inference: Inference) -> Details:
    """The details of the inference, and the times that only some streams have."""
    timing = inference.timing
    if timing.time_to_first_answer_chunk is None and timing.longest_stall is None:
        return inference.details
    times = {"time_to_first_answer_chunk": timing.time_to_first_answer_chunk, "longest_stall": timing.longest_stall}
    return {**inference.details, **{name: time for name, time in times.items() if time is not None}}


def _speed(output_tokens: int | None, seconds: float) -> float | None:
    """Output tokens per second of the whole call: what the client felt, reproducible from the row."""
    if not output_tokens or not seconds:
        return None
    return output_tokens / seconds
