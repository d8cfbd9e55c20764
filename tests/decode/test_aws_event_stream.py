"""Amazon's event stream."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.decode import aws_event_stream
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event
from support.captured import framed, message

DELTA = message(b'{"delta": {"text": "hi"}}', event_type="contentBlockDelta", message_type="event")
STOP = message(b'{"stopReason": "end_turn"}', event_type="messageStop", message_type="event")


def read(data: bytes) -> Frames:
    return aws_event_stream.read(data)


def only(data: bytes) -> Event:
    (event,) = read(data).events
    return event


def test_every_message_is_an_event_named_by_its_type() -> None:
    assert read(DELTA + STOP) == Frames(
        (
            Event({"delta": {"text": "hi"}}, "contentBlockDelta", len(DELTA)),
            Event({"stopReason": "end_turn"}, "messageStop", len(DELTA + STOP)),
        )
    )


def test_an_exception_is_named_by_its_type() -> None:
    thrown = message(b'{"message": "Too many"}', exception_type="throttlingException", message_type="exception")
    assert only(thrown) == Event({"message": "Too many"}, "throttlingException", len(thrown))


def test_an_error_without_a_payload_has_its_headers_message() -> None:
    error = message(b"", error_code="InternalFailure", error_message="It broke", message_type="error")
    assert only(error) == Event({"message": "It broke"}, "InternalFailure", len(error))


def test_bedrocks_wrapper_is_taken_off() -> None:
    inner = {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}}
    wrapped = json.dumps({"bytes": base64.b64encode(json.dumps(inner).encode()).decode(), "p": "abcd"})
    assert only(message(wrapped.encode(), event_type="chunk")).data == inner


def test_metrics_outside_the_wrapper_are_carried_in() -> None:
    wrapped = {"bytes": base64.b64encode(b'{"a": 1}').decode(), "amazon-bedrock-invocationMetrics": {"n": 2}}
    assert only(message(json.dumps(wrapped).encode())).data == {"a": 1, "amazon-bedrock-invocationMetrics": {"n": 2}}


@pytest.mark.parametrize("inner", ["not base64 at all!", base64.b64encode(b'{"a": ').decode(), "é"])
def test_a_wrapper_that_can_not_be_taken_off_stays_and_is_noted(inner: str) -> None:
    frames = read(message(json.dumps({"bytes": inner}).encode()))
    assert frames.events[0].data == {"bytes": inner}
    assert frames.problems == ("stream_json",)


def test_a_text_in_the_wrapper_stays_in_it_as_agents_write_it() -> None:
    wrapped = {"bytes": base64.b64encode(b"Hello").decode()}
    frames = read(message(json.dumps(wrapped).encode()))
    assert (frames.events[0].data, frames.problems) == (wrapped, ())


@pytest.mark.parametrize(
    ("payload", "value", "problems"), [(b"hello", "hello", ()), (b"", "", ()), (b'{"a', '{"a', ("stream_json",))]
)
def test_a_payload_that_is_not_json_is_kept_as_text(payload: bytes, value: str, problems: tuple[str, ...]) -> None:
    frames = read(message(payload))
    assert frames.events[0].data == value
    assert frames.problems == problems


def test_headers_of_every_type_are_passed_over() -> None:
    widths = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
    headers = b"".join(b"\x01x" + bytes([kind]) + bytes(width) for kind, width in widths.items())
    headers += b"\x01x\x06\x00\x03abc" + b"\x0b:event-type\x07\x00\x04done"
    assert read(framed(headers, b"{}")) == Frames((Event({}, "done", 16 + len(headers) + 2),))


@pytest.mark.parametrize("headers", [b"\x05ab", b"\x01x\x0c", b"\x01x\x07\x00\x09abc", b"\x01x\x07\x00"])
def test_damaged_headers_do_not_cost_the_payload(headers: bytes) -> None:
    frames = read(framed(headers, b'{"a": 1}'))
    assert frames.events[0].data == {"a": 1}
    assert frames.problems == ("stream_frame",)


@pytest.mark.parametrize("position", [8, len(DELTA) - 1, DELTA.index(b"hi")])
def test_a_wrong_checksum_is_noted_and_reading_goes_on(position: int) -> None:
    damaged = bytearray(DELTA)
    damaged[position] ^= 1
    frames = read(bytes(damaged) + STOP)
    assert [event.name for event in frames.events] == ["contentBlockDelta", "messageStop"]
    assert frames.problems == ("stream_frame",)
    assert not frames.cut


@pytest.mark.parametrize("lengths", [(4, 0), (100, 99), (0, 0)])
def test_lengths_that_make_no_sense_end_the_reading(lengths: tuple[int, int]) -> None:
    frames = read(DELTA + struct.pack(">II", *lengths) + bytes(100))
    assert len(frames.events) == 1
    assert frames.cut
    assert frames.problems == ("stream_frame",)


@given(end=st.integers(0, len(DELTA + STOP)))
def test_a_stream_cut_anywhere_keeps_its_whole_messages(end: int) -> None:
    part = read((DELTA + STOP)[:end])
    assert len(part.events) == (end >= len(DELTA)) + (end == len(DELTA + STOP))
    assert part.cut == (end not in (0, len(DELTA), len(DELTA + STOP)))
    assert not part.problems


@given(payloads=st.lists(st.dictionaries(st.text(), st.text()), max_size=4))
@settings(deadline=None)
def test_what_was_written_is_read(payloads: list[dict[str, Any]]) -> None:
    frames = read(b"".join(message(json.dumps(payload).encode(), event_type="e") for payload in payloads))
    assert [event.data for event in frames.events] == payloads


@given(noise=st.binary(), position=st.integers(0, len(DELTA + STOP)))
@settings(deadline=None)
def test_no_bytes_raise(noise: bytes, position: int) -> None:
    whole = DELTA + STOP
    read(whole[:position] + noise + whole[position:])


@given(noise=st.binary())
@settings(deadline=None)
def test_no_headers_raise(noise: bytes) -> None:
    assert only(framed(noise, b"{}")).data == {}


def test_a_stream_is_known_by_its_look() -> None:
    assert aws_event_stream.looks_like(DELTA)
    assert aws_event_stream.looks_like(DELTA[:12])
    assert not aws_event_stream.looks_like(DELTA[1:])
    assert not aws_event_stream.looks_like(DELTA[:11])
    assert not aws_event_stream.looks_like(b"data: {}\n\n" * 9)


def test_a_flood_of_messages_is_stopped() -> None:
    flood = read(message(b"1") * (MAX_EVENTS + 1))
    assert flood.cut
    assert flood.problems == ("too_large",)
    assert len(flood.events) == MAX_EVENTS
