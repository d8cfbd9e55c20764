"""DashScope's own API: growing usage, pieces or the whole text so far, totals that are inputs."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Completion, Message, Prompt, Tool, ToolCall, Usage
from support.exchanges import exchange, sse

GENERATION = "/api/v1/services/aigc/text-generation/generation"
ASK = {"model": "qwen", "input": {"messages": [{"role": "user", "content": "Hi"}]}}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def chunk(message: Any, output_tokens: int, finish: str = "null") -> dict[str, Any]:
    usage = {"input_tokens": 7, "output_tokens": output_tokens, "total_tokens": 7 + output_tokens}
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"output": {"choices": [choice]}, "usage": usage, "request_id": "r"}


def test_a_generation_is_read() -> None:
    extraction = extract(exchange(GENERATION, ASK, chunk({"content": [{"text": "Hello"}]}, 3, "stop")))
    inference = extraction.inference
    assert (extraction.api, inference.operation_name) == ("dashscope.generation", "chat")
    assert (inference.provider_name, inference.request_model) == ("alibaba_cloud", "qwen")
    assert (inference.response_id, inference.finish_reasons, inference.usage) == ("r", ("stop",), REPORTED)
    assert extraction.completion() == Completion(texts=("Hello",))


def test_a_text_without_choices_is_read_too() -> None:
    output = {"text": "Hello", "finish_reason": "stop"}
    reply = {"output": output, "usage": {"input_tokens": 7, "output_tokens": 3}, "request_id": "r"}
    extraction = extract(exchange(GENERATION, ASK, reply))
    assert (extraction.inference.finish_reasons, extraction.inference.usage) == (("stop",), REPORTED)
    assert extraction.completion() == Completion(texts=("Hello",))


@pytest.mark.parametrize("second", [" there", "Hello there"])
def test_a_stream_says_pieces_or_the_whole_text_so_far_and_the_last_usage_holds(second: str) -> None:
    events = [chunk({"content": "Hello"}, 1), chunk({"content": second}, 2), chunk({"content": ""}, 3, "stop")]
    extraction = extract(exchange(GENERATION, ASK, events))
    assert (extraction.complete, extraction.inference.stream) == (True, True)
    assert (extraction.inference.finish_reasons, extraction.inference.usage) == (("stop",), REPORTED)
    assert extraction.completion() == Completion(texts=("Hello there",))


def test_a_cut_stream_has_what_had_been_counted() -> None:
    extraction = extract(exchange(GENERATION, ASK, [chunk({"content": "Hel"}, 1)], aborted="client"))
    assert (extraction.complete, extraction.inference.usage.output_tokens) == (False, 1)
    assert extraction.inference.usage.source == "partial"


def test_a_call_that_grows_is_one_call() -> None:
    call = {"id": "c", "index": 0, "function": {"name": "look", "arguments": ""}}
    grown = {**call, "function": {"name": "look", "arguments": '{"a": 1}'}}
    thought = chunk({"content": "", "reasoning_content": "Hm"}, 1)
    events = [thought, chunk({"tool_calls": [call]}, 2), chunk({"tool_calls": [grown]}, 3, "tool_calls")]
    extraction = extract(exchange(GENERATION, ASK, events))
    assert extraction.inference.tool_calls == 1
    assert extraction.completion() == Completion(
        texts=("",), reasoning="Hm", tool_calls=(ToolCall(name="look", arguments='{"a": 1}'),)
    )


def test_an_error_in_the_stream_is_an_error() -> None:
    body = sse([chunk({"content": "Hel"}, 1)]) + 'event:error\ndata:{"code":"DataInspectionFailed","message":"no"}\n\n'
    assert extract(exchange(GENERATION, ASK, body)).inference.error_type == "DataInspectionFailed"


def test_a_failed_request_says_its_code_beside_its_message() -> None:
    failed = {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "r"}
    assert extract(exchange(GENERATION, ASK, failed, status=401)).inference.error_type == "InvalidApiKey"


def test_the_prompt_has_messages_and_tools_or_a_text() -> None:
    tool = {"type": "function", "function": {"name": "look"}}
    asked = {**ASK, "parameters": {"tools": [tool]}}
    expected = Prompt(messages=(Message(role="user", text="Hi"),), tools=(Tool(name="look"),))
    assert extract(exchange(GENERATION, asked, {})).prompt() == expected
    assert extract(exchange(GENERATION, {"input": {"prompt": "Hi"}}, {})).prompt() == Prompt(texts=("Hi",))


def test_the_total_of_embeddings_and_rankings_is_their_input() -> None:
    for path in ("embeddings/text-embedding/text-embedding", "rerank/text-rerank/text-rerank"):
        reply = {"output": {}, "usage": {"total_tokens": 4}, "request_id": "r"}
        usage = extract(exchange(f"/api/v1/services/{path}", {"model": "q", "input": {}}, reply)).inference.usage
        assert usage == Usage(input_tokens=4, total_tokens=4, source="reported")


def test_an_application_adds_up_the_models_it_used() -> None:
    models = [{"model_id": "a", "input_tokens": 5, "output_tokens": 2}, {"input_tokens": 2, "output_tokens": 1}]
    reply = {"output": {"text": "Hello", "finish_reason": "stop"}, "usage": {"models": models}, "request_id": "r"}
    extraction = extract(exchange("/api/v1/apps/x/completion", {"input": {"prompt": "Hi"}}, reply))
    assert (extraction.api, extraction.inference.usage) == ("dashscope.generation", REPORTED)
