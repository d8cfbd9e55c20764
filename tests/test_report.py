"""The wire record: what is accepted, what is refused and how it is said."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.errors import NotJSON, ReportError, TooLarge
from llmtoken.report import MAX_LINES, Report, parse_ledger, parse_lines, parse_one

RECEIVED = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
REQUIRED = {"request_body": "", "response_body": "", "elapsed_time": 0.5}
FULL = {
    "request_body": '{"model": "m"}',
    "response_body": base64.b64encode(b"\x00\xff").decode(),
    "response_body_encoding": "base64",
    "elapsed_time": 0.5,
    "path": "/v1/chat/completions",
    "timestamp": "2026-01-31T11:00:00.5+01:00",
    "request_id": "boot-1",
    "version": 1,
    "method": "POST",
    "host": "api.openai.com",
    "query": "api-version=1",
    "status": 200,
    "request_headers": {"content-type": "application/json"},
    "response_headers": {"content-type": "audio/mpeg"},
    "request_bytes": 14,
    "response_bytes": 2,
    "request_truncated": False,
    "response_truncated": True,
    "time_to_first_byte": 0.25,
    "timeline": [[1, 0.25], [2, 0.5]],
    "aborted": "client",
    "consumer": "team-a",
    "upstream": "10.0.0.1:443",
    "provider": "openai",
    "labels": {"env": "prod"},
    "middleware": "llm@file",
    "capture_bodies": "full",
    "source": {"boot": "b", "sequence": 7, "dropped": 1, "failed": 2, "dropped_by": {"queue_full": 1}},
}


def written(**fields: Any) -> bytes:
    """A report as JSON: the required fields and these."""
    return json.dumps({**REQUIRED, **fields}).encode()


# ── One report ──────────────────────────────────────────────────────────────────────────


def test_the_seeds_report_is_accepted() -> None:
    report = parse_one(written(path="/v1/chat/completions", timestamp="2026-01-31T12:00:00+08:00"))
    assert report.version == 0
    assert report.request_id is None


def test_every_field_is_kept() -> None:
    report = parse_one(json.dumps(FULL).encode())
    assert set(FULL) | {"request_body_encoding"} == set(Report.__struct_fields__)
    assert report.timeline == [(1, 0.25), (2, 0.5)]
    assert report.source is not None
    assert (report.source.dropped, report.source.dropped_by, report.source.failed_by) == (1, {"queue_full": 1}, {})
    assert report.labels == {"env": "prod"}


def test_unknown_fields_of_a_newer_plugin_are_ignored() -> None:
    assert parse_one(written(invention={"a": [1]})) == parse_one(written())


def test_what_the_plugin_does_not_say_is_unknown_not_false() -> None:
    report = parse_one(written())
    unsaid = [report.status, report.aborted, report.request_truncated, report.time_to_first_byte, report.request_bytes]
    assert unsaid == [None] * 5


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_field_is_named(name: str) -> None:
    with pytest.raises(ReportError, match=name):
        parse_one(json.dumps({key: value for key, value in REQUIRED.items() if key != name}).encode())


@pytest.mark.parametrize(
    "wrong",
    [
        {"elapsed_time": -1},
        {"elapsed_time": "1"},
        {"elapsed_time": 1e12},
        {"request_body": None},
        {"status": 99},
        {"status": 1000},
        {"aborted": "nobody"},
        {"request_id": ""},
        {"request_id": "x" * 257},
        {"path": "x" * 8193},
        {"request_body_encoding": "gzip"},
        {"timeline": [[1, 2, 3]]},
        {"timeline": [[-1, 2]]},
        {"timeline": [[1, 1]] * 4097},
        {"labels": {str(n): "" for n in range(33)}},
        {"request_headers": {"a": 1}},
        {"request_bytes": -1},
        {"timestamp": "yesterday"},
        {"source": {"dropped": -1}},
        {"source": {"dropped_by": {"x" * 257: 1}}},
        {"source": {"failed_by": {str(n): 1 for n in range(33)}}},
        {"capture_bodies": "some"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_field_out_of_bounds_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ReportError, match=f"breaks the schema.*{next(iter(wrong))}") as refused:
        parse_one(written(**wrong))
    assert not isinstance(refused.value, NotJSON)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"{", b"\xff", b'{"request_body": "\xff"}', b'{"x":' * 100_000, b'{"path": "\\ud800"}']
)
def test_what_is_not_json_is_said_so(data: bytes) -> None:
    with pytest.raises(NotJSON, match="isn't JSON"):
        parse_one(data)


def test_an_error_does_not_echo_a_long_value() -> None:
    with pytest.raises(ReportError) as refused:
        parse_one(written(aborted="x" * 1_000_000))
    assert len(str(refused.value)) < 1000


@given(data=st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode()))
@settings(deadline=None)
def test_no_bytes_raise_anything_but_our_errors(data: bytes) -> None:
    with pytest.raises(ReportError):
        parse_one(data)


# ── Bodies ──────────────────────────────────────────────────────────────────────────────


def test_text_is_utf8_on_the_wire() -> None:
    assert parse_one(written(request_body="Grüße")).request_content() == "Grüße".encode()


@given(data=st.binary())
def test_base64_carries_any_bytes(data: bytes) -> None:
    body = base64.b64encode(data).decode()
    assert parse_one(written(response_body=body, response_body_encoding="base64")).response_content() == data


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize("body", ["YQ", "Y", "=", "YQ==YQ==", "Y Q==", "Grüße", "YQ=\n=", "Y-_="])
def test_what_says_it_is_base64_and_is_not_is_refused(side: str, body: str) -> None:
    with pytest.raises(ReportError, match=f"{side}_body says it is base64"):
        parse_one(written(**{f"{side}_body": body, f"{side}_body_encoding": "base64"}))


def test_a_lone_surrogate_in_a_body_made_in_python_is_no_error() -> None:
    assert Report(request_body="\ud800", response_body="", elapsed_time=0.0).request_content() == b"\xed\xa0\x80"


# ── When it was ─────────────────────────────────────────────────────────────────────────


def test_our_plugin_stamps_the_start() -> None:
    assert parse_one(json.dumps(FULL).encode()).started_at(RECEIVED) == datetime(2026, 1, 31, 10, 0, 0, 500_000, UTC)


def test_the_seeds_plugin_stamps_the_end() -> None:
    report = parse_one(written(timestamp="2026-01-31T12:00:00Z", elapsed_time=2))
    assert report.started_at(RECEIVED) == datetime(2026, 1, 31, 11, 59, 58, tzinfo=UTC)


def test_without_a_stamp_it_ended_when_it_was_received() -> None:
    assert parse_one(written(elapsed_time=2)).started_at(RECEIVED) == RECEIVED - timedelta(seconds=2)


def test_a_stamp_without_a_zone_is_utc() -> None:
    report = parse_one(written(timestamp="2026-01-31T12:00:00", version=1))
    assert report.started_at(RECEIVED) == RECEIVED


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    "stamp", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00"]
)
def test_a_stamp_at_the_calendars_ends_is_no_error(stamp: str, version: int) -> None:
    started = parse_one(written(timestamp=stamp, version=version)).started_at(RECEIVED)
    assert started.tzinfo is UTC


# ── Lines ───────────────────────────────────────────────────────────────────────────────


def test_a_bad_line_is_rejected_alone_with_its_number() -> None:
    good, odd = written(request_id="a"), written(request_id="b")
    reports, rejected = parse_lines(b"\n".join([good, b'{"request_body": ', b"", odd, b'{"status": 1}', b" \r"]))
    assert [(number, report.request_id) for number, report in reports] == [(0, "a"), (3, "b")]
    assert [line.line for line in rejected] == [1, 4]
    assert all(line.error for line in rejected)


def test_carriage_returns_and_a_missing_last_line_end_are_forgiven() -> None:
    reports, rejected = parse_lines(written() + b"\r\n" + written())
    assert (len(reports), rejected) == (2, [])


@pytest.mark.parametrize("data", [b"", b"\n", b"\n\r\n \n"])
def test_no_lines_are_no_reports(data: bytes) -> None:
    assert parse_lines(data) == ([], [])


def test_a_flood_of_lines_is_refused() -> None:
    with pytest.raises(TooLarge, match="lines"):
        parse_lines(b"\n" * (MAX_LINES + 1))


@given(data=st.binary() | st.text(alphabet='{}"\n:1,').map(str.encode))
@settings(deadline=None)
def test_no_lines_raise(data: bytes) -> None:
    parse_lines(data)


# ── The ledger beside reports ───────────────────────────────────────────────────────────


def test_a_ledger_is_read() -> None:
    ledger = parse_ledger('{"boot": "b", "sequence": 7, "failed": 2, "failed_by": {"rejected": 2}, "invention": []}')
    assert (ledger.boot, ledger.sequence, ledger.dropped, ledger.failed) == ("b", 7, 0, 2)
    assert ledger.failed_by == {"rejected": 2}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "boot=b",
        "[]",
        '{"sequence": -1}',
        '{"boot": 5}',
        '{"dropped": 1e999}',
        "[" * 8000,
        json.dumps({"boot": "b", "invention": "x" * 8192}),
    ],
    ids=lambda wrong: wrong[:20],
)
def test_a_ledger_that_cannot_be_read_says_which_header_is_wrong(wrong: str) -> None:
    with pytest.raises(ReportError, match="Llmtoken-Source"):
        parse_ledger(wrong)
