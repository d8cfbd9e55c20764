"""Replies that are fetched later, again or in bulk: stored responses, runs, predictions, batches."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Extraction, Usage
from support.exchanges import exchange, ndjson

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
CHAT_USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def fetched(path: str, reply: Any, **fields: Any) -> Extraction:
    return extract(exchange(path, None, reply, method="GET", **fields))


def test_a_stored_response_says_its_usage_again_under_the_same_id() -> None:
    reply = {"id": "r", "object": "response", "model": "m", "status": "completed", "usage": USAGE}
    made = extract(exchange("/v1/responses", {"model": "m", "input": "Hi"}, reply))
    again = fetched("/v1/responses/r", reply)
    assert again.api == "openai.responses.retrieve"
    assert again.inference.response_id == made.inference.response_id == "r"
    assert again.inference.usage == made.inference.usage == REPORTED


def test_nothing_is_estimated_for_what_is_fetched() -> None:
    said = {"type": "message", "content": "Hello"}
    reply = {"id": "r", "object": "response", "status": "completed", "output": [said]}
    assert not fetched("/v1/responses/r", reply).countable


def test_a_stored_chat_is_read_as_a_chat() -> None:
    reply = {"id": "c", "object": "chat.completion", "choices": [], "usage": CHAT_USAGE}
    extraction = fetched("/v1/chat/completions/c", reply)
    assert (extraction.api, extraction.inference.usage) == ("openai.chat.retrieve", REPORTED)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses/r/input_items", "/v1/threads/t/messages"])
def test_lists_use_no_tokens(path: str) -> None:
    extraction = fetched(path, {"object": "list", "data": [{"usage": CHAT_USAGE}]})
    assert (extraction.api, extraction.inference.usage, extraction.countable) == ("openai.other", Usage(), False)


def test_a_run_is_pending_until_it_has_ended() -> None:
    run = {"id": "run", "object": "thread.run", "model": "m", "status": "in_progress", "usage": None}
    path = "/v1/threads/t/runs/run"
    assert fetched(path, run).inference.usage == Usage()
    done = fetched(path, {**run, "status": "completed", "usage": CHAT_USAGE}).inference
    assert (done.response_id, done.finish_reasons, done.usage) == ("run", ("completed",), REPORTED)


def test_a_run_that_failed_is_an_error() -> None:
    run = {"id": "run", "object": "thread.run", "status": "failed", "last_error": {"code": "rate_limit_exceeded"}}
    assert fetched("/v1/threads/t/runs/run", run).inference.error_type == "rate_limit_exceeded"


def test_a_streamed_run_has_its_usage_at_the_end() -> None:
    run = {"id": "run", "object": "thread.run", "model": "m"}
    stream = (
        f"event: thread.run.created\ndata: {ndjson([{**run, 'status': 'queued', 'usage': None}])}\n"
        f"event: thread.message.delta\ndata: {ndjson([{'object': 'thread.message.delta'}])}\n"
        f"event: thread.run.completed\ndata: {ndjson([{**run, 'status': 'completed', 'usage': CHAT_USAGE}])}\n"
        "event: done\ndata: [DONE]\n\n"
    )
    extraction = extract(exchange("/v1/threads/runs", {"assistant_id": "a"}, stream))
    assert (extraction.complete, extraction.inference.usage) == (True, REPORTED)


def test_a_prediction_says_its_tokens_when_it_has_ended() -> None:
    begun = {"id": "p", "model": "a/b", "status": "starting", "input": {"prompt": "Hi"}, "urls": {}}
    made = extract(exchange("/v1/models/a/b/predictions", {"input": {"prompt": "Hi"}}, begun, status=201))
    assert (made.inference.request_model, made.inference.usage, made.countable) == ("a/b", Usage(), False)
    metrics = {"input_token_count": 7, "output_token_count": 3}
    done = fetched("/v1/predictions/p", {**begun, "status": "succeeded", "metrics": metrics, "output": ["Hel", "lo"]})
    assert (done.inference.response_id, done.inference.usage) == ("p", REPORTED)
    assert done.completion().texts == ("Hello",)


def test_a_batch_says_its_usage_when_it_has_ended() -> None:
    batch = {"id": "b", "object": "batch", "model": "m", "status": "in_progress", "usage": USAGE}
    assert fetched("/v1/batches/b", batch).inference.usage == Usage()
    done = fetched("/v1/batches/b", {**batch, "status": "completed"})
    assert (done.api, done.inference.response_id, done.inference.usage) == ("openai.batches", "b", REPORTED)


def test_the_results_of_a_batch_are_added_up_under_its_id() -> None:
    usage = {"input_tokens": 7, "output_tokens": 3}
    message = {"id": "m", "type": "message", "model": "c", "content": [], "usage": usage}
    lines = [
        {"custom_id": "0", "result": {"type": "succeeded", "message": message}},
        {"custom_id": "1", "result": {"type": "errored", "error": {"type": "error"}}},
        {"custom_id": "2", "result": {"type": "succeeded", "message": message}},
    ]
    headers = {"content-type": "application/x-jsonl"}
    extraction = fetched("/v1/messages/batches/b1/results", ndjson(lines), response_headers=headers)
    inference = extraction.inference
    assert (inference.response_id, inference.response_model, inference.stream) == ("b1", "c", False)
    assert inference.usage == Usage(input_tokens=14, output_tokens=6, total_tokens=20, source="reported")


def test_results_that_were_cut_are_partial() -> None:
    message = {"id": "m", "type": "message", "usage": {"input_tokens": 7, "output_tokens": 3}}
    line = ndjson([{"custom_id": "0", "result": {"message": message}}])
    headers = {"content-type": "application/x-jsonl"}
    extraction = fetched("/v1/messages/batches/b/results", line, response_headers=headers, aborted="client")
    assert (extraction.complete, extraction.inference.usage.source) == (False, "partial")
