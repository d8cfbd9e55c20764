"""A whole report, decoded: what is carried over, that nothing raises, and the recorded exchanges."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken import decode
from llmtoken.exchange import Body, Exchange
from llmtoken.report import Report
from support import recordings
from support.captured import message

LIMIT = 1024 * 1024


def decoded(**fields: Any) -> Exchange:
    required = {"request_body": "", "response_body": "", "elapsed_time": 1.0}
    return decode.decode(Report(**{**required, **fields}), max_body_bytes=LIMIT)


# ── The exchange ────────────────────────────────────────────────────────────────────────


def test_what_surrounds_the_bodies_is_carried_over() -> None:
    carried = {
        "method": "POST",
        "path": "/v1/chat/completions",
        "query": "api-version=1",
        "host": "api.openai.com",
        "upstream": "10.0.0.1:8080",
        "provider": "openai",
        "status": 200,
        "aborted": "client",
        "time_to_first_byte": 0.25,
    }
    exchange = decoded(**carried, elapsed_time=2.5, timeline=[(10, 0.25), (20, 0.5)])
    assert {name: getattr(exchange, name) for name in carried} == carried
    assert exchange.duration == 2.5
    assert exchange.timeline == ((10, 0.25), (20, 0.5))


def test_a_bare_report_is_decoded_too() -> None:
    exchange = decoded()
    assert (exchange.path, exchange.query, exchange.status) == ("", "", None)
    assert exchange.request == exchange.response == Body()


def test_the_query_is_taken_off_the_path() -> None:
    exchange = decoded(path="/v1/models?limit=1")
    assert (exchange.path, exchange.query) == ("/v1/models", "limit=1")


def test_header_names_are_lower_case() -> None:
    exchange = decoded(response_headers={"Content-Type": "text/plain"}, request_headers={"X-Title": "T"})
    assert exchange.response_headers == {"content-type": "text/plain"}
    assert exchange.request_headers == {"x-title": "T"}


def test_text_and_base64_bodies_are_decoded_alike() -> None:
    text = 'data: {"a": "世界"}\n\n'
    packed = base64.b64encode(text.encode()).decode()
    as_text = decoded(response_body=text).response
    assert as_text == decoded(response_body=packed, response_body_encoding="base64").response
    assert as_text.text == text


def test_the_two_sides_have_their_own_headers_and_flags() -> None:
    exchange = decoded(
        request_body='{"a": 1',
        request_truncated=True,
        response_body='{"a": 1}\n',
        response_headers={"content-type": "application/x-ndjson"},
    )
    assert (exchange.request.framing, exchange.request.truncated) == ("json", True)
    assert (exchange.response.framing, exchange.response.truncated) == ("ndjson", False)


# ── Any bytes ───────────────────────────────────────────────────────────────────────────

SAMPLES = [
    b'{"model": "m", "messages": [{"role": "user", "content": "\\ud83d\\ude42"}]}',
    b'event: a\r\ndata: {"a": "\xe4\xb8\x96"}\r\n\r\n: c\r\n\r\ndata: [DONE]\r\n\r\n',
    b'{"a": 1}\n{"a": 2}\n',
    b'[{"a": 1}\n,\r\n{"a": 2}\n]',
    message(b'{"bytes": "eyJhIjogMX0="}', event_type="chunk", message_type="event"),
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n',
    b"a=1&b=2",
    b"<html></html>",
    gzip.compress(b'{"a": 1}' * 50, mtime=0),
    zlib.compress(b'{"a": 1}'),
    brotli.compress(b'data: {"a": 1}\n\n' * 50),
    zstandard.ZstdCompressor().compress(b'{"a": 1}'),
]
TYPES = [
    "",
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "multipart/form-data; boundary=b",
    "application/x-www-form-urlencoded",
    "text/plain; charset=utf-16",
    "audio/mpeg",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sample with a stretch of it replaced."""
    sample = draw(st.sampled_from(SAMPLES))
    start, end = sorted((draw(st.integers(0, len(sample))), draw(st.integers(0, len(sample)))))
    return sample[:start] + draw(st.binary(max_size=20)) + sample[end:]


@given(
    body=damaged() | st.binary(max_size=200),
    content_type=st.sampled_from(TYPES) | st.text(max_size=20),
    coding=st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "identity", "?"]), max_size=2).map(", ".join),
    cut=st.booleans(),
)
@settings(deadline=None, max_examples=400)
def test_no_bytes_raise(body: bytes, content_type: str, coding: str, cut: bool) -> None:
    packed = base64.b64encode(body).decode()
    headers = {"content-type": content_type, "content-encoding": coding}
    exchange = decoded(
        request_body=packed,
        request_body_encoding="base64",
        request_headers=headers,
        request_truncated=cut,
        response_body=packed,
        response_body_encoding="base64",
        response_headers=headers,
        response_truncated=cut,
    )
    for side in (exchange.request, exchange.response):
        assert set(side.problems) <= set(decode.PROBLEMS)
        assert side.truncated or not cut
        assert side.json is None or side.framing in ("json", "json_array")
        assert not side.events or side.is_stream
        side.text.encode()


@given(body=st.text(), content_type=st.sampled_from(TYPES))
@settings(deadline=None)
def test_no_text_raises(body: str, content_type: str) -> None:
    exchange = decoded(response_body=body, response_headers={"content-type": content_type})
    assert (
        exchange.response.text == body
        or exchange.response.framing in ("binary", "aws_event_stream")
        or "utf-16" in content_type
    )


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("content_type", TYPES)
def test_no_cut_raises(sample: bytes, content_type: str) -> None:
    for end in range(len(sample)):
        decoded(
            response_body=base64.b64encode(sample[:end]).decode(),
            response_body_encoding="base64",
            response_headers={"content-type": content_type},
        )


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, brotli.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("sample", SAMPLES[:5])
def test_every_coding_gives_the_same_events(sample: bytes, pack: Any) -> None:
    coding = {gzip.compress: "gzip", zlib.compress: "deflate", brotli.compress: "br"}.get(pack, "zstd")
    plain = decoded(response_body=base64.b64encode(sample).decode(), response_body_encoding="base64").response
    packed = decoded(
        response_body=base64.b64encode(pack(sample)).decode(),
        response_body_encoding="base64",
        response_headers={"content-encoding": coding},
    ).response
    assert (packed.framing, packed.json, packed.text) == (plain.framing, plain.json, plain.text)
    assert [(event.name, event.data) for event in packed.events] == [(event.name, event.data) for event in plain.events]


# ── Recorded exchanges ──────────────────────────────────────────────────────────────────


def exchanges() -> list[tuple[recordings.Recording, Exchange]]:
    return [(one, decode.decode(one.report, max_body_bytes=64 * LIMIT)) for one in recordings.load()]


def test_every_recorded_body_decodes_without_a_problem() -> None:
    troubled = {
        one.id: (exchange.request.problems, exchange.response.problems)
        for one, exchange in exchanges()
        if exchange.request.problems or exchange.response.problems
    }
    assert not troubled


def test_every_recorded_stream_is_one_and_whole() -> None:
    streams = [(one, exchange.response) for one, exchange in exchanges() if one.is_stream]
    assert streams
    assert not {one.id: body.framing for one, body in streams if not (body.is_stream and body.events)}
    assert not [one.id for one, body in streams if body.truncated]


def test_every_other_recorded_reply_is_json_unless_it_says_it_is_lines() -> None:
    others = [(one, exchange.response) for one, exchange in exchanges() if not one.is_stream]
    lines = [one for one, body in others if body.framing == "ndjson"]
    assert {one.report.response_headers["content-type"] for one in lines} <= {"application/x-jsonl"}
    assert {body.framing for _, body in others} <= {"json", "ndjson"}


def test_every_recorded_event_of_a_stream_ends_where_the_next_begins() -> None:
    for one, exchange in exchanges():
        if "content-encoding" in exchange.response_headers:
            continue
        ends = [event.end or 0 for event in exchange.response.events]
        assert ends == sorted(ends), one.id
        assert not ends or ends[-1] <= len(one.report.response_content())


def test_recorded_text_is_kept_as_it_was() -> None:
    for one, exchange in exchanges():
        assert exchange.request.text == one.report.request_body
        assert exchange.response.text == one.report.response_body


def test_a_recording_compressed_gives_the_same_values() -> None:
    for one, exchange in exchanges()[::7]:
        packed = base64.b64encode(gzip.compress(one.report.response_content())).decode()
        headers = one.report.response_headers | {"content-encoding": "gzip"}
        again = decoded(response_body=packed, response_body_encoding="base64", response_headers=headers).response
        assert again.json == exchange.response.json
        assert [event.data for event in again.events] == [event.data for event in exchange.response.events]


# ── The vocabulary ──────────────────────────────────────────────────────────────────────


def test_every_problem_says_what_it_means() -> None:
    assert all(meaning for meaning in decode.PROBLEMS.values())
    assert json.dumps(sorted(decode.PROBLEMS)) == json.dumps(list(decode.PROBLEMS)), "kept in order"
