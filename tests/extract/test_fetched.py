"""Replies that are fetched later, again or in bulk: stored responses, runs, predictions, batches."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmtoken.extract import extract
from llmtoken.inference import Extraction, Part, Usage
from support.exchanges import exchange, ndjson
from support.samples import CHAT

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


CHATTED = {"object": "chat.completion", "choices": [{"message": {"content": "Hello"}}], "usage": CHAT_USAGE}


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("/async/chat/completions", {"id": "a", "model": "m", "status": "CREATED", "response": None}),
        ("/api/paas/v4/async/chat/completions", {"id": "a", "model": "m", "task_status": "PROCESSING"}),
        ("/v1/chat/completions", {"request_id": "a"}),
    ],
)
def test_a_chat_that_is_answered_later_is_neither_counted_nor_estimated(path: str, made: dict[str, Any]) -> None:
    extraction = extract(exchange(path, CHAT, made))
    assert (extraction.countable, extraction.inference.usage, extraction.problems) == (False, Usage(), ())


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/async/chat/completions/a", {"id": "a", "status": "COMPLETED", "response": {"id": "c", **CHATTED}}),
        ("/api/paas/v4/async-result/a", {"id": "a", "task_status": "SUCCESS", **CHATTED}),
        ("/v1/chat/deferred-completion/a", {"id": "a", **CHATTED}),
    ],
)
def test_its_answer_has_the_tokens_under_the_id_that_it_is_asked_for_by(path: str, reply: dict[str, Any]) -> None:
    extraction = fetched(path, reply)
    assert (extraction.api, extraction.inference.fetched) == ("openai.chat.retrieve", True)
    assert (extraction.inference.response_id, extraction.inference.usage) == ("a", REPORTED)


def test_a_usage_that_is_said_is_believed_whatever_the_status() -> None:
    odd = {"id": "a", "status": "processing", "usage": CHAT_USAGE}
    assert extract(exchange("/v1/chat/completions", CHAT, odd)).inference.usage == REPORTED


def test_a_chat_that_failed_later_is_an_error() -> None:
    assert fetched("/api/paas/v4/async-result/a", {"id": "a", "task_status": "FAIL"}).inference.error_type == "error"


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


def test_the_stream_of_a_predictions_output_says_no_tokens() -> None:
    body = "event: output\nid: 1:0\ndata: Hello\n\nevent: done\nid: 1:1\ndata: {}\n\n"
    extraction = fetched("/v1/streams/s", body)
    assert (extraction.complete, extraction.countable, extraction.problems) == (True, False, ())
    assert (extraction.inference.provider_name, extraction.inference.stream) == ("replicate", True)


def test_a_batch_says_its_usage_when_it_has_ended() -> None:
    batch = {"id": "b", "object": "batch", "model": "m", "status": "in_progress", "usage": USAGE}
    assert fetched("/v1/batches/b", batch).inference.usage == Usage()
    done = fetched("/v1/batches/b", {**batch, "status": "completed"})
    assert (done.api, done.inference.response_id, done.inference.usage) == ("openai.batches", "b", REPORTED)


def test_a_batch_job_of_mistrals_that_holds_its_answers_is_their_sum() -> None:
    answer = {"status_code": 200, "body": {"object": "chat.completion", "usage": CHAT_USAGE}}
    job = {"id": "b", "object": "batch", "model": "m", "status": "RUNNING", "outputs": None}
    assert fetched("/v1/batch/jobs/b", job).inference.usage == Usage()
    done = {**job, "status": "SUCCESS", "outputs": [{"response": answer}, {"response": answer}]}
    inference = fetched("/v1/batch/jobs/b", done).inference
    assert (inference.response_id, inference.operation_name) == ("b", "batch")
    assert inference.usage == Usage(input_tokens=14, output_tokens=6, total_tokens=20, source="reported")


PART = Usage(input_tokens=7, output_tokens=3, total_tokens=10)
TWICE = Usage(input_tokens=14, output_tokens=6, total_tokens=20)
TWICE_REPORTED = replace(TWICE, source="reported")


def page(*answers: dict[str, Any]) -> dict[str, Any]:
    """A page of xAI's results."""
    results = [
        {"batch_request_id": str(number), "batch_result": {"response": {"chat_get_completion": answer}}}
        for number, answer in enumerate(answers)
    ]
    failed = {"batch_request_id": "failed", "batch_result": {"error": {"code": 3}}}
    return {"results": [*results, failed], "pagination_token": None}


def test_a_page_of_xais_results_is_made_up_of_its_answers() -> None:
    answers = [{"id": name, "model": "grok", "usage": CHAT_USAGE} for name in ("a", "b")]
    extraction = fetched("/v1/batches/batch_1/results", page(*answers))
    inference = extraction.inference
    assert (extraction.api, inference.response_id, inference.response_model) == ("x_ai.batches.results", None, "grok")
    assert inference.usage == TWICE_REPORTED
    assert inference.parts == (Part("a", PART), Part("b", PART))


def test_an_answer_without_an_id_is_known_by_its_batch_and_what_it_was_asked_as() -> None:
    inference = fetched("/v1/batches/batch_1/results", page({"usage": CHAT_USAGE}, {"model": "grok"})).inference
    assert inference.parts == (Part("/v1/batches/batch_1/results/0", PART),)


def test_a_page_of_which_only_a_part_arrived_is_made_up_of_nothing() -> None:
    inference = fetched("/v1/batches/b/results", page({"id": "a", "usage": CHAT_USAGE}), aborted="client").inference
    assert (inference.usage, inference.parts) == (REPORTED, (Part("a", PART),))  # it was whole when the client left
    cut = json.dumps(page({"id": "a", "usage": CHAT_USAGE}))[:-20]
    inference = fetched("/v1/batches/b/results", cut, aborted="client").inference
    assert (inference.usage, inference.parts) == (Usage(), ())


@pytest.mark.parametrize("name", ["output_file_id", "output_file"])
def test_a_batch_that_says_a_usage_says_it_for_its_file_too(name: str) -> None:
    batch = {"id": "b", "object": "batch", "model": "m", "status": "completed", name: "file-1"}
    assert fetched("/v1/batches/b", {**batch, "usage": USAGE}).inference.parts == (Part("file-1", PART),)


@pytest.mark.parametrize("usage", [None, dict.fromkeys(USAGE, 0)])
def test_a_batch_that_was_not_added_up_leaves_it_to_its_file(usage: dict[str, int] | None) -> None:
    batch = {"id": "b", "object": "batch", "status": "completed", "output_file_id": "file-1", "usage": usage}
    assert fetched("/v1/batches/b", batch).inference.parts == ()


FAILED = {"id": "batch_req_0", "custom_id": "0", "response": None, "error": {"code": "server_error", "message": "no"}}


def result(**body: Any) -> dict[str, Any]:
    """A line of the output of a batch."""
    answer = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "batch_req_1", "custom_id": "1", "response": answer, "error": None}


OF_CHAT = result(id="c", object="chat.completion", model="m", usage=CHAT_USAGE)
OF_RESPONSES = result(id="r", object="response", model="m", usage=USAGE)


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/jsonl", "application/json", ""])
@pytest.mark.parametrize("path", ["/v1/files/file-1/content", "/openai/files/file-1/content"])
def test_the_file_of_a_batchs_answers_is_added_up_under_its_id(path: str, kind: str) -> None:
    lines = ndjson([FAILED, OF_CHAT, OF_RESPONSES])
    extraction = fetched(path, lines, response_headers={"content-type": kind})
    inference = extraction.inference
    assert (extraction.api, inference.operation_name, inference.stream) == ("openai.batches.output", "batch", False)
    assert (inference.response_id, inference.response_model, inference.fetched) == ("file-1", "m", True)
    assert inference.details == {"service_tier": "batch"}
    assert (inference.usage, inference.parts) == (TWICE_REPORTED, (Part("file-1", TWICE),))
    assert fetched(path, OF_CHAT).inference.usage == REPORTED


def test_embeddings_of_a_batch_have_an_input_alone() -> None:
    line = result(object="list", model="e", data=[], usage={"prompt_tokens": 7, "total_tokens": 7})
    usage = fetched("/v1/files/file-1/content", ndjson([line, line])).inference.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (14, None, 14)


def test_a_file_of_errors_is_no_error_and_uses_nothing() -> None:
    for said in (FAILED, ndjson([FAILED, FAILED])):
        inference = fetched("/v1/files/file-2/content", said).inference
        assert (inference.error_type, inference.usage, inference.parts) == (None, Usage(), ())


ASKED = {"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "usage": USAGE}}
OTHER_FILES = {
    "a batch's input": ASKED,
    "an input that asks with a response": {**ASKED, "response": {"body": {"usage": USAGE}}},
    "examples to tune with": {"messages": [], "response": {"body": {"usage": USAGE}}},
    "results of an evaluation": {"item": {}, "sample": {"usage": USAGE}},
    "a stored reply": {"id": "r", "object": "response", "status": "completed", "usage": USAGE},
}


@pytest.mark.parametrize("line", OTHER_FILES.values(), ids=OTHER_FILES.keys())
def test_any_other_file_uses_no_tokens(line: dict[str, Any]) -> None:
    for said in (line, ndjson([line] * 3)):
        extraction = fetched("/v1/files/file-3/content", said)
        assert (extraction.api, extraction.inference.usage, extraction.countable) == ("openai.other", Usage(), False)


def test_a_batchs_answers_that_are_no_file_of_the_api_have_no_id_and_are_not_counted() -> None:
    inference = fetched("/container/results.jsonl", ndjson([OF_CHAT, OF_CHAT])).inference
    assert (inference.response_id, inference.usage, inference.parts) == (None, Usage(), ())


def test_a_range_of_a_file_says_nothing_because_the_whole_may_be_fetched_too() -> None:
    part = fetched("/v1/files/file-1/content", ndjson([OF_CHAT, OF_CHAT]), status=206)
    assert (part.complete, part.inference.usage, part.inference.parts) == (False, Usage(), ())


def test_a_file_that_was_captured_in_part_is_partial() -> None:
    said = ndjson([OF_CHAT, OF_CHAT, OF_CHAT])[:-20]
    usage = fetched("/v1/files/file-1/content", said, response_truncated=True).inference.usage
    assert usage == replace(TWICE, source="partial")


GOOGLES = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}


@pytest.mark.parametrize("path", ["/v1beta/files/f:download", "/download/v1beta/files/f:download"])
def test_a_file_of_googles_answers_is_added_up_under_its_name(path: str) -> None:
    answer = {"key": "a", "response": {"modelVersion": "m", "usageMetadata": GOOGLES}}
    failed = {"key": "b", "error": {"code": 13}}
    extraction = fetched(path, ndjson([failed, answer, answer]))
    inference = extraction.inference
    assert (extraction.api, inference.stream, inference.fetched) == ("gemini.batches.results", False, True)
    assert (inference.response_id, inference.response_model) == ("files/f", "m")
    assert inference.usage == Usage(input_tokens=14, output_tokens=6, total_tokens=20, source="reported")
    assert fetched(path, answer).inference.usage == REPORTED


def test_a_file_that_was_cut_is_counted_when_it_is_fetched_again() -> None:
    answer = {"response": {"usageMetadata": GOOGLES}}
    assert fetched("/v1beta/files/f:download", ndjson([answer] * 3), aborted="client").inference.usage == Usage()


def test_the_results_of_a_batch_of_one_need_no_media_type() -> None:
    message = {"type": "message", "content": [], "usage": {"input_tokens": 7, "output_tokens": 3}}
    line = {"custom_id": "0", "result": {"type": "succeeded", "message": message}}
    inference = fetched("/v1/messages/batches/b1/results", line).inference
    assert (inference.response_id, inference.usage) == ("b1", REPORTED)


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


def cut_results(**fields: Any) -> Extraction:
    message = {"id": "m", "type": "message", "usage": {"input_tokens": 7, "output_tokens": 3}}
    line = ndjson([{"custom_id": "0", "result": {"message": message}}])
    headers = {"content-type": "application/x-jsonl"}
    return fetched("/v1/messages/batches/b/results", line, response_headers=headers, **fields)


def test_results_that_were_captured_in_part_are_partial() -> None:
    extraction = cut_results(response_truncated=True)
    assert (extraction.complete, extraction.inference.usage.source) == (False, "partial")


def test_results_whose_download_broke_off_say_nothing_because_they_will_be_fetched_again() -> None:
    extraction = cut_results(aborted="client")
    assert (extraction.complete, extraction.inference.usage) == (False, Usage())


# ── Which calls generate, and which fetch ───────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses/r",
        "/v1/chat/completions/c",
        "/v1/threads/t/runs/r",
        "/v1/predictions/p",
        "/v1/batches/b",
        "/v1/messages/batches/b/results",
        "/v1beta/interactions/i",
        "/v1beta/batches/b",
        "/some/other/api",
    ],
)
def test_a_get_generates_nothing(path: str) -> None:
    assert fetched(path, {}).inference.fetched


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/responses/r/cancel", "response"),
        ("/v1/threads/t/runs/r/cancel", "thread.run"),
        ("/v1/predictions/p/cancel", None),
        ("/v1/batches/b/cancel", "batch"),
        ("/v1beta/interactions/i/cancel", "interaction"),
    ],
)
@pytest.mark.parametrize("method", ["POST", None])
def test_cancelling_generates_nothing(path: str, kind: str | None, method: str | None) -> None:
    assert extract(exchange(path, None, {"object": kind}, method=method)).inference.fetched


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/threads/runs",
        "/v1/threads/t/runs",
        "/v1/threads/t/runs/r/submit_tool_outputs",
        "/v1/predictions",
        "/v1beta/interactions",
    ],
)
@pytest.mark.parametrize("method", ["POST", None])
def test_asking_for_something_new_is_no_fetch(path: str, method: str | None) -> None:
    assert not extract(exchange(path, {}, {}, method=method)).inference.fetched


def test_a_usage_that_still_grows_is_left_for_the_last_fetch() -> None:
    usage = {"total_input_tokens": 7, "total_output_tokens": 1, "total_tokens": 8}
    interaction = {"id": "i", "object": "interaction", "status": "in_progress", "usage": usage}
    assert fetched("/v1beta/interactions/i", interaction).inference.usage == Usage()
    assert fetched("/v1beta/interactions/i", {**interaction, "status": "completed"}).inference.usage.input_tokens == 7


@pytest.mark.parametrize("background", [True, False])
def test_a_background_response_whose_stream_broke_off_is_not_estimated_because_it_goes_on(background: bool) -> None:
    begun = {"id": "r", "object": "response", "model": "m", "status": "in_progress", "background": background}
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_text.delta", "delta": "Hel"},
    ]
    extraction = extract(exchange("/v1/responses", {"model": "m", "input": "Hi"}, events, aborted="client"))
    assert (extraction.inference.response_id, extraction.countable) == ("r", not background)


def test_an_agent_whose_stream_broke_off_works_on() -> None:
    begun = {"id": "i", "object": "interaction", "agent": "deep-research", "status": "in_progress"}
    events = [
        {"event_type": "interaction.start", "interaction": begun},
        {"event_type": "content.delta", "delta": {"type": "text", "text": "Hel"}, "metadata": {"usage": USAGE}},
    ]
    extraction = extract(exchange("/v1beta/interactions", {"agent": "deep-research"}, events, aborted="client"))
    assert (extraction.countable, extraction.inference.usage) == (False, Usage())
