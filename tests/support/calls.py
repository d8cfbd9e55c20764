"""Made-up calls, for whatever takes finished ones."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from llmtoken.call import Call

CALL = Call(
    request_id="request-1",
    started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    method="POST",
    path="/v1/chat/completions",
    host="api.example",
    http_status=200,
    stream=False,
    aborted="",
    operation_name="chat",
    provider_name="openai",
    server_address="api.example",
    server_port=443,
    request_model="gpt-4o",
    response_model="gpt-4o-2024-08-06",
    response_id="chatcmpl-1",
    finish_reasons=("stop",),
    error_type=None,
    input_tokens=100,
    output_tokens=20,
    total_tokens=120,
    cache_read_input_tokens=64,
    cache_write_input_tokens=None,
    reasoning_output_tokens=0,
    input_audio_tokens=None,
    output_audio_tokens=None,
    usage_source="reported",
    duration=2.0,
    time_to_first_byte=1.9,
    time_to_first_chunk=None,
    time_per_output_chunk=None,
    tokens_per_second=10.0,
    tool_calls=None,
    consumer="alice",
    cost=Decimal("0.00037"),
    price_version="2026-01-01",
    middleware="llmtoken@file",
    labels={},
    request_bytes=500,
    response_bytes=700,
    request_truncated=False,
    response_truncated=False,
)
"""A call where everything went well."""


def call(**changes: Any) -> Call:
    return replace(CALL, **changes)


def streamed(**changes: Any) -> Call:
    """A streamed call to another provider, with cache writes and reasoning."""
    stream: dict[str, Any] = {
        "stream": True,
        "path": "/v1/messages",
        "provider_name": "anthropic",
        "request_model": "claude-sonnet",
        "response_model": "claude-sonnet-4",
        "input_tokens": 3000,
        "output_tokens": 400,
        "total_tokens": 3400,
        "cache_read_input_tokens": 0,
        "cache_write_input_tokens": 2048,
        "reasoning_output_tokens": 150,
        "duration": 8.0,
        "time_to_first_byte": 0.5,
        "time_to_first_chunk": 0.5,
        "time_per_output_chunk": 0.03,
        "tokens_per_second": 50.0,
        "consumer": "bob",
        "cost": Decimal("0.0168"),
    }
    return call(**(stream | changes))


def without_tokens(**changes: Any) -> Call:
    """A call that nobody counted tokens for."""
    nothing: dict[str, Any] = {
        "input_tokens": None,
        "output_tokens": None,
        "total_tokens": None,
        "cache_read_input_tokens": None,
        "reasoning_output_tokens": None,
        "usage_source": "unknown",
        "tokens_per_second": None,
        "finish_reasons": (),
        "response_id": None,
        "cost": None,
        "price_version": None,
    }
    return call(**(nothing | changes))


def failed(**changes: Any) -> Call:
    """A call that the provider refused."""
    refusal: dict[str, Any] = {"http_status": 429, "error_type": "rate_limit_exceeded", "response_model": None}
    return without_tokens(**(refusal | changes))
