"""A call joins what the proxy saw and what the exchange said."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import fields

from llmtoken.call import Call, build
from llmtoken.inference import Inference, Timing, Usage
from llmtoken.report import Report

RECEIVED = datetime(2026, 1, 2, 3, 4, 10, tzinfo=UTC)


def built(report: dict[str, Any] | None = None, **inference: Any) -> Call:
    seen = {"request_body": "", "response_body": "", "elapsed_time": 2.0} | (report or {})
    return build(Report(**seen), Inference(**inference), request_id="request-1", received=RECEIVED)


def test_a_report_that_says_nothing_more_leaves_everything_else_unknown() -> None:
    call = built()
    known = {"request_id", "started_at", "stream", "finish_reasons", "usage_source", "duration", "labels", "details"}
    assert {field.name for field in fields(Call) if getattr(call, field.name) is not None} == known
    assert (call.stream, call.finish_reasons, call.usage_source) == (False, (), "unknown")
    assert (call.labels, call.details) == ({}, {})


def test_details_hold_what_was_said_and_the_times_that_only_some_streams_have() -> None:
    times = Timing(time_to_first_answer_chunk=0.5, longest_stall=0.25)
    assert built(details={"service_tier": "flex"}, timing=times).details == {
        "service_tier": "flex",
        "time_to_first_answer_chunk": 0.5,
        "longest_stall": 0.25,
    }


def test_what_the_proxy_saw_comes_from_the_report() -> None:
    seen = {
        "method": "POST",
        "path": "/v1/chat/completions",
        "host": "api.example",
        "aborted": "client",
        "consumer": "alice",
        "middleware": "llmtoken@file",
        "labels": {"team": "search"},
        "request_bytes": 10,
        "response_bytes": 20,
        "request_truncated": False,
        "response_truncated": True,
    }
    call = built(seen | {"status": 200})
    assert {name: getattr(call, name) for name in seen} == seen
    assert call.http_status == 200


def test_what_was_said_comes_from_the_inference() -> None:
    said = {
        "operation_name": "chat",
        "provider_name": "openai",
        "server_address": "api.example",
        "server_port": 443,
        "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "response_id": "chatcmpl-1",
        "finish_reasons": ("stop",),
        "error_type": "timeout",
        "stream": True,
        "tool_calls": 2,
    }
    call = built(**said)
    assert {name: getattr(call, name) for name in said} == said


def test_every_count_of_the_usage_is_taken_over() -> None:
    counts = {
        name: number for number, name in enumerate(field.name for field in fields(Usage) if field.name != "source")
    }
    call = built(usage=Usage(source="reported", **counts))
    assert {name: getattr(call, name) for name in counts} == counts
    assert call.usage_source == "reported"


def test_the_duration_is_the_proxys_and_the_other_times_are_read_from_the_stream() -> None:
    timing = Timing(duration=9.0, time_to_first_byte=0.1, time_to_first_chunk=0.2, time_per_output_chunk=0.01)
    call = built({"elapsed_time": 2.0, "time_to_first_byte": 0.5}, timing=timing)
    found = (call.duration, call.time_to_first_byte, call.time_to_first_chunk, call.time_per_output_chunk)
    assert found == (2.0, 0.1, 0.2, 0.01)


@pytest.mark.parametrize(("complete", "aborted"), [(True, ""), (False, "client")])
def test_a_client_that_leaves_with_the_whole_reply_broke_nothing_off(complete: bool, aborted: str) -> None:
    report = Report(request_body="", response_body="", elapsed_time=1.0, aborted="client")
    call = build(report, Inference(), request_id="r", received=RECEIVED, complete=complete)
    assert call.aborted == aborted


def test_speed_is_output_over_the_whole_duration() -> None:
    assert built({"elapsed_time": 2.0}, usage=Usage(input_tokens=1000, output_tokens=50)).tokens_per_second == 25.0


@pytest.mark.parametrize(("tokens", "seconds"), [(None, 2.0), (0, 2.0), (50, 0.0)])
def test_there_is_no_speed_without_output_or_time(tokens: int | None, seconds: float) -> None:
    assert built({"elapsed_time": seconds}, usage=Usage(output_tokens=tokens)).tokens_per_second is None


def test_our_plugin_stamps_the_start() -> None:
    eastern = datetime(2026, 1, 1, 22, 4, 5, tzinfo=timezone(timedelta(hours=-5)))
    assert built({"version": 1, "timestamp": eastern}).started_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_first_plugin_stamped_the_end() -> None:
    end = datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC)
    assert built({"timestamp": end, "elapsed_time": 2.0}).started_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_arrival_less_the_elapsed_time_stands_in_for_a_missing_stamp() -> None:
    assert built({"elapsed_time": 2.0}).started_at == RECEIVED - timedelta(seconds=2)


def test_the_price_is_kept_with_its_version() -> None:
    report = Report(request_body="", response_body="", elapsed_time=1.0)
    price = {"cost": Decimal("0.1"), "price_version": "2026-01-01"}
    call = build(report, Inference(), request_id="r", received=RECEIVED, **price)
    assert (call.cost, call.price_version) == (Decimal("0.1"), "2026-01-01")


def test_a_call_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        built().cost = Decimal(1)  # type: ignore[misc]
