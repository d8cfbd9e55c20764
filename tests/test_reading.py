"""One report in, one record out, whatever happens on the way."""

from __future__ import annotations

import base64
import gzip
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest

from llmtoken import config, reading
from llmtoken.call import Record
from llmtoken.count import Calibration, Counter, encodings
from llmtoken.exchange import Exchange
from llmtoken.redact import Redacted, Redactor
from llmtoken.report import Report
from support.canary import CANARY
from support.planted import SHAPES

SETTINGS = config.load()
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def report(usage: dict[str, int] | None = None, **fields: Any) -> Report:
    said = {"role": "assistant", "content": "Hello!"}
    reply = {"model": "gpt-4o", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    if usage:
        reply["usage"] = usage
    given = {
        "request_body": json.dumps(
            {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}], "user": CANARY}
        ),
        "response_body": json.dumps(reply),
        "elapsed_time": 1.0,
        "request_id": "r1",
        "method": "POST",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "status": 200,
    }
    return Report(**{**given, **fields})


USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}


class BrokenCounter(Counter):
    def complete(self, _: object) -> NoReturn:
        raise RuntimeError("a defect")


def test_a_defect_in_counting_costs_the_tokens_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        found = reading.read(report(), SETTINGS, BrokenCounter())
    assert found.problems == ("uncounted",)
    assert "uncounted" in reading.PROBLEMS
    assert (found.record.call.request_model, found.record.call.usage_source) == ("gpt-4o", "unknown")
    assert "openai.chat: RuntimeError at " in caplog.text
    assert "a defect" not in caplog.text, "an error's words may quote a prompt"


def test_reported_usage_is_compared_with_our_count_where_that_is_learned_from() -> None:
    found = reading.read(report(USAGE), SETTINGS, Counter(calibration=Calibration()))
    assert [(seen.side, seen.counted, seen.reported) for seen in found.comparisons] == [
        ("input", 10, 10),
        ("output", 2, 2),
    ]
    assert reading.read(report(USAGE), SETTINGS).comparisons == ()


@pytest.mark.parametrize("cut", [{"request_truncated": True}, {"response_truncated": True}])
def test_texts_that_were_captured_in_part_are_not_compared(cut: Any) -> None:
    assert reading.read(report(USAGE, **cut), SETTINGS, Counter(calibration=Calibration())).comparisons == ()


def test_warming_up_loads_what_the_first_call_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "_loaded", {})
    reading.warm_up(SETTINGS)
    assert len(encodings._loaded) == 1


def test_what_warms_up_is_read_to_the_end() -> None:
    """Else it would not load everything."""
    found = reading.read(reading._MADE_UP, SETTINGS)
    assert found.problems == ()
    assert found.record.call.usage_source == "estimated"
    assert found.record.call.cost is not None


def test_a_report_without_an_id_gets_one_that_grows_with_time() -> None:
    ids = [reading.read(report(request_id=None), SETTINGS).record.call.request_id for _ in range(50)]
    assert ids == sorted(set(ids))


# ── Several at once ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("group", [1, 500, 1_000_000])
def test_several_are_read_as_each_by_itself(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "GROUP", group)
    redactor = Redactor(("secrets",), {})
    reports = [
        report(USAGE, request_id=f"r{number}", timestamp=NOW, consumer=who)
        for number, who in enumerate(["a", "b", SHAPES["openai_key"][0], "c"])
    ]
    found = reading.read_all(reports, SETTINGS, Counter(), redactor)
    assert found == [reading.read(one, SETTINGS, redactor=redactor) for one in reports]
    assert [dict(one.redactions) for one in found] == [{}, {}, {"openai_key": 1}, {}]
    assert reading.read_all([], SETTINGS, Counter(), redactor) == []


def test_bodies_that_are_large_together_are_not_held_unpacked_all_at_once() -> None:
    groups: list[int] = []

    class Noting(Redactor):
        def redact_all(self, given: Sequence[tuple[Record, Exchange | None]]) -> list[Redacted]:
            groups.append(len(given))
            return super().redact_all(given)

    large = packed({"said": "x" * reading.GROUP})
    assert len(large["response_body"]) < 1000
    reports = [report(), report(**large), report(**large), report(), report()]
    reading.read_all(reports, SETTINGS, Counter(), Noting(("secrets",), {}))
    assert groups == [2, 1, 2]


def test_a_report_that_breaks_the_reader_breaks_none_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = reading.decode.decode

    def broken(one: Report, **bounds: int) -> Exchange:
        if one.request_id == "r1":
            raise RuntimeError("a defect")
        return decode(one, **bounds)

    monkeypatch.setattr("llmtoken.decode.decode", broken)
    reports = [report(USAGE, request_id=f"r{number}") for number in range(3)]
    found = reading.read_all(reports, SETTINGS, Counter(), Redactor(("secrets",), {}))
    assert [one.problems for one in found] == [(), ("defect",), ()]
    assert [one.unredacted for one in found] == [False, True, False]
    assert [one.record.call.request_id for one in found] == ["r0", "r1", "r2"]


# ── What is kept ────────────────────────────────────────────────────────────────────────


def packed(reply: dict[str, Any]) -> dict[str, Any]:
    return {
        "response_body": base64.b64encode(gzip.compress(json.dumps(reply).encode())).decode(),
        "response_body_encoding": "base64",
        "response_headers": {"content-encoding": "gzip", "content-type": "application/json"},
        "response_truncated": False,
    }


def test_compressed_bodies_are_stored_as_text() -> None:
    record = reading.read(report(**packed({"said": "hello"})), SETTINGS).record
    assert record.response_body == '{"said": "hello"}'
    assert record.call.response_truncated is False


def test_what_unpacks_beyond_the_limit_is_stored_as_a_beginning_and_says_so() -> None:
    small = config.load(None, max_body_bytes=4096)
    found = reading.read(report(**packed({"padding": "x" * 100_000})), small)
    assert found.record.call.response_truncated is True
    assert len(found.record.response_body or "") <= small.max_body_bytes
    assert "too_large" in found.problems


@pytest.mark.parametrize("captured", ["none", "never"])
def test_bodies_that_may_not_be_kept_are_counted_and_dropped(captured: str) -> None:
    record = reading.read(report(USAGE, capture_bodies=captured), SETTINGS).record
    assert (record.request_body, record.response_body) == (None, None)
    assert record.call.input_tokens == 10


def test_the_collector_may_refuse_to_keep_bodies_whatever_the_plugin_says() -> None:
    settings = config.load(None, capture_bodies="none")
    record = reading.read(report(USAGE, capture_bodies="full"), settings).record
    assert (record.request_body, record.call.input_tokens) == (None, 10)


def test_a_reply_that_was_not_captured_has_an_unknown_number_of_tokens_and_not_none() -> None:
    uncaptured = {"request_truncated": True, "response_truncated": True, "capture_bodies": "never"}
    call = reading.read(
        report(request_body="", response_body="", response_bytes=700, **uncaptured), SETTINGS
    ).record.call
    assert (call.input_tokens, call.output_tokens, call.usage_source) == (None, None, "unknown")


@pytest.mark.parametrize(
    ("consumer", "kept"), [("hr", False), ("legal-emea", False), ("legal", True), ("sales", True), (None, True)]
)
def test_bodies_of_private_consumers_are_counted_and_dropped(consumer: str | None, kept: bool) -> None:
    settings = config.load(None, private_consumers=("hr", "legal-*"))
    record = reading.read(report(USAGE, consumer=consumer), settings).record
    assert (record.request_body is not None, record.response_body is not None) == (kept, kept)
    assert record.call.input_tokens == 10


def test_a_defect_of_ours_still_gives_an_honest_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("a defect")

    monkeypatch.setattr("llmtoken.extract.extract", broken)
    found = reading.read(report(USAGE), SETTINGS)
    assert found.problems == ("defect",)
    assert (found.record.call.request_id, found.record.call.usage_source) == ("r1", "unknown")
    assert found.record.request_body == report().request_body
