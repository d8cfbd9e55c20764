"""One report in, one record out, whatever is in it."""

import base64
import gzip
import json
from typing import Any

import pytest

from llmtoken import config, reading
from llmtoken.config import Settings
from llmtoken.reading import Reading, read
from llmtoken.report import Report

ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello!"}}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
}


@pytest.fixture
def settings() -> Settings:
    return config.load(None, max_body_bytes=4096)


def chat(**changes: Any) -> Report:
    facts = {"request_body": json.dumps(ASKED), "response_body": json.dumps(ANSWER), "elapsed_time": 2.0}
    return Report(**{**facts, "method": "POST", "path": "/v1/chat/completions", "status": 200, **changes})


def packed(text: str) -> dict[str, Any]:
    return {
        "response_body": base64.b64encode(gzip.compress(text.encode())).decode(),
        "response_body_encoding": "base64",
        "response_headers": {"content-encoding": "gzip", "content-type": "application/json"},
        "response_truncated": False,
    }


def test_a_priced_call_has_its_cost_and_which_price_it_was(settings: Settings) -> None:
    call = read(chat(host="api.openai.com"), settings).record.call
    assert call.cost is not None
    assert call.cost > 0
    assert call.price_version


def test_a_report_without_an_id_gets_one_of_its_own(settings: Settings) -> None:
    ids = {read(chat(), settings).record.call.request_id for _ in range(100)}
    assert len(ids) == 100
    assert all(ids)


def test_compressed_bodies_are_stored_as_text(settings: Settings) -> None:
    record = read(chat(**packed(json.dumps(ANSWER))), settings).record
    assert record.response_body == json.dumps(ANSWER)
    assert record.call.response_truncated is False


def test_what_unpacks_beyond_the_limit_is_stored_as_a_beginning_and_says_so(settings: Settings) -> None:
    read_ = read(chat(**packed(json.dumps({**ANSWER, "padding": "x" * 100_000}))), settings)
    assert read_.record.call.response_truncated is True
    assert len(read_.record.response_body or "") <= settings.max_body_bytes
    assert "too_large" in read_.problems


@pytest.mark.parametrize("captured", ["none", "never"])
def test_bodies_that_may_not_be_kept_are_counted_and_dropped(settings: Settings, captured: str) -> None:
    record = read(chat(capture_bodies=captured), settings).record
    assert (record.request_body, record.response_body) == (None, None)
    assert record.call.input_tokens == 8


def test_the_collector_may_refuse_to_keep_bodies_whatever_the_plugin_says() -> None:
    record = read(chat(capture_bodies="full"), config.load(None, capture_bodies="none")).record
    assert (record.request_body, record.call.input_tokens) == (None, 8)


def test_a_defect_of_ours_still_gives_an_honest_record(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("llmtoken.extract.extract", broken)
    found: Reading = read(chat(request_id="a"), settings)
    assert found.problems == ("defect",)
    assert (found.record.call.request_id, found.record.call.usage_source) == ("a", "unknown")
    assert found.record.request_body == json.dumps(ASKED)


def test_every_problem_has_a_meaning() -> None:
    assert all(reading.PROBLEMS.values())
