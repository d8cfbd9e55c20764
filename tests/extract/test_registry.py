"""Which API an exchange speaks, and the rules that hold for all of them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from llmtoken.exchange import Exchange
from llmtoken.extract import PROBLEMS, extract, openai_chat, registry
from llmtoken.inference import Inference, Usage
from support.exchanges import exchange
from support.samples import CHAT, OPENAI, SAMPLES, Sample

samples = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.api} {sample.path}")


@samples
def test_every_api_is_recognised_and_its_usage_read(sample: Sample) -> None:
    extraction = extract(sample.exchange())
    usage = extraction.inference.usage
    assert extraction.api == sample.api
    assert extraction.complete
    assert (usage.input_tokens or 0) + (usage.output_tokens or 0) == (sample.total or 0)
    assert usage.source == ("reported" if sample.total else "unknown")
    assert extraction.problems == (("generic_usage",) if sample.api == "generic" else ())


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.by_shape], ids=lambda s: f"{s.api} {s.path}")
def test_an_exchange_without_a_path_is_recognised_by_its_bodies(sample: Sample) -> None:
    extraction = extract(sample.exchange(path="", method=None))
    assert extraction.api == sample.api
    assert extraction.inference.usage == extract(sample.exchange()).inference.usage


def test_a_stream_that_begins_with_an_event_that_says_nothing_is_recognised_by_the_next() -> None:
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [{"delta": {"content": "Hello"}}]}
    begins = {"choices": [], "id": "", "object": "", "prompt_filter_results": []}
    assert extract(exchange("/ask", {"model": "m"}, [begins, chunk, "[DONE]"])).api == "openai.chat"


@samples
def test_what_is_mounted_in_front_of_the_path_does_not_matter(sample: Sample) -> None:
    assert extract(sample.exchange(path=f"/team/a/proxy{sample.path}")).api == sample.api


@samples
def test_a_failed_request_is_an_error_and_nothing_else(sample: Sample) -> None:
    failed = exchange(sample.path, sample.request, {"error": {"type": "bad"}}, status=429, method=sample.method)
    extraction = extract(failed)
    assert extraction.inference.error_type == "bad"
    assert extraction.inference.usage == Usage()
    assert not extraction.countable


def test_every_api_has_a_name_a_pattern_and_an_operation() -> None:
    for api in registry.APIS:
        assert api.name
        assert api.path
        assert api.operation_name


def test_an_unknown_exchange_is_recorded_as_such() -> None:
    extraction = extract(exchange("/nothing/we/know", {"a": 1}, {"b": 2}))
    assert (extraction.api, extraction.problems, extraction.countable) == ("unknown", ("unknown_api",), False)
    assert extraction.inference.tool_calls is None


def test_an_html_page_in_the_place_of_a_reply_is_unreadable() -> None:
    extraction = extract(exchange("/v1/chat/completions", CHAT, "<html>Hello</html>"))
    assert extraction.problems == ("unreadable_reply",)


def test_an_html_error_page_is_the_error_of_its_status() -> None:
    extraction = extract(exchange("/v1/chat/completions", CHAT, "<html>Bad Gateway</html>", status=502))
    assert extraction.inference.error_type == "http_502"
    assert extraction.problems == ()


def test_an_error_in_a_200_is_not_counted() -> None:
    extraction = extract(exchange("/v1/chat/completions", CHAT, {"error": {"code": 429, "message": "slow down"}}))
    assert extraction.inference.error_type == "429"
    assert not extraction.countable


def test_a_plain_transcription_is_a_proper_reply() -> None:
    assert extract(exchange("/v1/audio/transcriptions", None, "Hello there")).problems == ()


def test_every_problem_has_a_meaning() -> None:
    assert set(PROBLEMS) == {"unknown_api", "generic_usage", "unreadable_reply", "reader_failed"}
    assert all(PROBLEMS.values())


def test_a_defect_in_a_reader_is_a_problem_and_not_an_exception(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = replace(openai_chat.API, whole=_broken)
    monkeypatch.setattr(registry, "_route", lambda *_: (broken,))
    with caplog.at_level(logging.ERROR):
        extraction = extract(exchange("/broken", CHAT, {"usage": OPENAI}))
    assert extraction.problems == ("reader_failed",)
    assert extraction.inference.request_model == "m"
    assert "Could not read a reply of openai.chat" in caplog.text


def test_a_defect_anywhere_else_is_a_problem_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        extraction = extract(Exchange(path=None))  # type: ignore[arg-type]
    assert extraction.problems == ("reader_failed",)
    assert extraction.inference == Inference()


def test_a_defect_in_collecting_texts_leaves_nothing_to_count(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = replace(openai_chat.API, prompt=_broken)
    monkeypatch.setattr(registry, "_route", lambda *_: (broken,))
    with caplog.at_level(logging.ERROR):
        assert extract(exchange("/broken", CHAT, {})).prompt() is None
    assert "Could not collect the texts of openai.chat" in caplog.text


def _broken(*_: Any) -> NoReturn:
    raise KeyError("a defect")


def test_a_cut_json_reply_keeps_the_usage_that_had_arrived() -> None:
    reply = json.dumps({"id": "c", "usage": OPENAI, "choices": [{"message": {"content": "Hello"}}]})
    extraction = extract(exchange("/v1/chat/completions", CHAT, reply[:-12], aborted="client"))
    assert not extraction.complete
    assert extraction.inference.usage.source == "reported"


def test_a_usage_that_was_cut_itself_is_partial() -> None:
    parts = {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 10, "thoughtsTokenCount": 1}
    reply = json.dumps({"candidates": [], "usageMetadata": parts})
    cut = reply[: reply.index("thoughts")]
    usage = extract(exchange("/v1beta/models/g:generateContent", {}, cut, aborted="upstream")).inference.usage
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (7, 2, "partial")


def test_an_empty_reply_is_complete_unless_somebody_cut_it() -> None:
    assert extract(exchange("/v1/chat/completions", CHAT, "", aborted="")).complete
    assert not extract(exchange("/v1/chat/completions", CHAT, "", aborted="upstream")).complete
