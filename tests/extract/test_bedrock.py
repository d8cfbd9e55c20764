"""Amazon Bedrock: converse, and invoke with every family's own format."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import extract
from llmtoken.inference import Completion, Image, Message, Prompt, Tool, ToolCall, Usage
from support.exchanges import exchange

CONVERSE = "/model/us.m-v1%3A0/converse"
INVOKE = "/model/m/invoke"
STREAM = "/model/m/invoke-with-response-stream"
METRICS = {"inputTokenCount": 7, "outputTokenCount": 3}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def streamed(path: str, *events: tuple[str, Any], **fields: Any) -> Any:
    """A reply as an AWS event stream gives it: every event has a name."""
    body = Body(framing="aws_event_stream", events=tuple(Event(data, name) for name, data in events))
    return extract(Exchange(method="POST", path=path, status=200, aborted="", response=body, **fields))


def chunks(*values: Any) -> Any:
    return streamed(STREAM, *(("chunk", value) for value in values))


def test_the_model_is_named_in_the_path() -> None:
    assert extract(exchange(CONVERSE, {}, {})).inference.request_model == "us.m-v1:0"
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.m"
    assert extract(exchange(f"/model/{arn}/converse", {}, {})).inference.request_model == arn


def test_the_cache_comes_on_top_of_the_input() -> None:
    usage = {"inputTokens": 7, "outputTokens": 3, "cacheReadInputTokens": 20, "cacheWriteInputTokens": 10}
    reply = {"output": {"message": {"content": [{"text": "Hello"}]}}, "stopReason": "end_turn"}
    read = extract(exchange(CONVERSE, {}, {**reply, "usage": {**usage, "totalTokens": 40}})).inference
    assert (read.usage.input_tokens, read.usage.total_tokens, read.finish_reasons) == (37, 40, ("end_turn",))
    inside = extract(exchange(CONVERSE, {}, {**reply, "usage": {**usage, "totalTokens": 10}})).inference
    assert inside.usage.input_tokens == 7


def test_one_side_alone_stays_alone() -> None:
    usage = extract(exchange(CONVERSE, {}, {"stopReason": "x", "usage": {"outputTokens": 50}})).inference.usage
    assert usage == Usage(output_tokens=50, source="reported")


def test_a_converse_stream_ends_with_its_usage() -> None:
    extraction = streamed(
        "/model/m/converse-stream",
        ("messageStart", {"role": "assistant", "p": "abc"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hel"}, "p": "a"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo"}}),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"name": "f"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"x":1}'}}}),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}}),
    )
    assert extraction.complete
    assert extraction.inference.usage == REPORTED
    assert (extraction.inference.finish_reasons, extraction.inference.tool_calls) == (("tool_use",), 1)
    call = ToolCall(name="f", arguments='{"x":1}')
    assert extraction.completion() == Completion(texts=("Hello",), tool_calls=(call,))


def test_an_exception_in_the_stream_is_an_error() -> None:
    extraction = streamed("/model/m/converse-stream", ("throttlingException", {"message": "slow down"}))
    assert extraction.inference.error_type == "throttlingException"
    assert not extraction.complete


def test_the_prompt_has_system_messages_tools_and_images() -> None:
    request = {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "See"}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}}]},
            {"role": "assistant", "content": [{"toolUse": {"name": "f", "input": {"x": 1}}}]},
            {"role": "user", "content": [{"toolResult": {"content": [{"text": "42"}]}}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]},
    }
    assert extract(exchange(CONVERSE, request, {})).prompt() == Prompt(
        messages=(
            Message(role="system", text="Be brief."),
            Message(role="user", text="See", images=(Image(source="AAAA"),)),
            Message(role="assistant", tool_calls=(ToolCall(name="f", arguments='{"x": 1}'),)),
            Message(role="user", text="42"),
        ),
        tools=(Tool(name="f", parameters={"type": "object"}),),
    )


FAMILIES: dict[str, tuple[dict[str, Any], str]] = {
    "titan": ({"results": [{"outputText": "Hello", "completionReason": "FINISH"}]}, "FINISH"),
    "cohere": ({"generations": [{"text": "Hello", "finish_reason": "COMPLETE"}]}, "COMPLETE"),
    "ai21": ({"completions": [{"data": {"text": "Hello"}, "finishReason": {"reason": "endoftext"}}]}, "endoftext"),
    "mistral": ({"outputs": [{"text": "Hello", "stop_reason": "stop"}]}, "stop"),
    "deepseek": ({"choices": [{"text": "Hello", "stop_reason": "stop"}]}, "stop"),
    "llama": ({"generation": "Hello", "stop_reason": "stop"}, "stop"),
    "claude 2": ({"completion": "Hello", "stop_reason": "stop_sequence"}, "stop_sequence"),
    "command r": ({"text": "Hello", "finish_reason": "COMPLETE"}, "COMPLETE"),
    "claude": ({"type": "message", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "x"}, "x"),
    "nova": ({"output": {"message": {"content": [{"text": "Hello"}]}}, "stopReason": "end_turn"}, "end_turn"),
    "gpt-oss": ({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}, "stop"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_read_and_headers_say_what_the_body_does_not(family: str) -> None:
    body, reason = FAMILIES[family]
    headers = {"x-amzn-bedrock-input-token-count": "7", "x-amzn-bedrock-output-token-count": "3"}
    extraction = extract(exchange(INVOKE, {}, body, response_headers=headers))
    assert extraction.inference.usage == REPORTED
    assert extraction.inference.finish_reasons == (reason,)
    assert extraction.completion().texts == ("Hello",)


@pytest.mark.parametrize("family", ["cohere", "llama", "claude 2", "mistral"])
def test_metrics_on_the_last_chunk_are_the_usage(family: str) -> None:
    body, reason = FAMILIES[family]
    extraction = chunks({**body, "amazon-bedrock-invocationMetrics": METRICS})
    assert extraction.complete
    assert extraction.inference.usage == REPORTED
    assert extraction.inference.finish_reasons == (reason,)
    assert extraction.completion().texts == ("Hello",)


def test_the_bodys_own_usage_is_believed_over_the_metrics() -> None:
    extraction = chunks(
        {
            "type": "message_start",
            "message": {"model": "c", "usage": {"input_tokens": 7, "output_tokens": 1}},
        },
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 88}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS},
    )
    assert (extraction.inference.response_model, extraction.inference.usage.output_tokens) == ("c", 88)


def test_nova_streams_converse_inside_chunks() -> None:
    extraction = chunks(
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "Hello"}, "contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 3}}, "amazon-bedrock-invocationMetrics": METRICS},
    )
    assert extraction.inference.usage == REPORTED
    assert extraction.completion().texts == ("Hello",)


def test_a_cut_stream_of_llama_has_the_output_that_was_counted() -> None:
    pieces = [{"generation": "a", "prompt_token_count": 7, "generation_token_count": 1}, {"generation": "b"}]
    usage = chunks(*pieces, {"generation": "c", "generation_token_count": 3}).inference.usage
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (7, 3, "partial")


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        ({"embedding": [0.1], "inputTextTokenCount": 7}, "embeddings"),
        ({"embeddings": {"float": [[0.1]]}}, "embeddings"),
        ({"results": [{"index": 0, "relevance_score": 0.5}]}, "rerank"),
        ({"generation": "Hello"}, "text_completion"),
        ({"type": "message", "content": []}, "chat"),
    ],
)
def test_the_reply_says_what_was_done(body: dict[str, Any], operation: str) -> None:
    assert extract(exchange(INVOKE, {}, body)).inference.operation_name == operation


@pytest.mark.parametrize(
    "reply", [{"results": [{"index": 0, "relevance_score": 0.5}]}, {"embeddings": [[0.1]]}, {"embedding": [0.1]}]
)
def test_what_generates_nothing_has_no_answer_to_count(reply: dict[str, Any]) -> None:
    assert extract(exchange(INVOKE, {"query": "q", "documents": ["d"]}, reply)).completion() is None


HI = Prompt(messages=(Message(role="user", text="Hi"),))


@pytest.mark.parametrize(
    ("request_body", "expected"),
    [
        ({"inputText": "Hi"}, Prompt(texts=("Hi",))),
        ({"prompt": "Hi"}, Prompt(texts=("Hi",))),
        ({"texts": ["a", "b"]}, Prompt(texts=("a", "b"))),
        (
            {"anthropic_version": "v", "messages": [{"role": "user", "content": "Hi"}]},
            HI,
        ),
        (
            {"schemaVersion": "v", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
            HI,
        ),
        ({"taskType": "TEXT_IMAGE"}, None),
    ],
)
def test_the_prompt_is_in_the_familys_words(request_body: dict[str, Any], expected: Prompt | None) -> None:
    assert extract(exchange(INVOKE, request_body, {})).prompt() == expected


def test_mistrals_chat_says_why_it_stopped_in_a_word_of_its_own() -> None:
    whole = {"choices": [{"index": 0, "message": {"content": "Hello"}, "stop_reason": "stop"}]}
    assert extract(exchange(INVOKE, {}, whole)).inference.finish_reasons == ("stop",)
    first = {"choices": [{"index": 0, "delta": {"content": "Hello"}, "stop_reason": None}]}
    last = {
        "choices": [{"index": 0, "delta": {}, "stop_reason": "length"}],
        "amazon-bedrock-invocationMetrics": METRICS,
    }
    read = chunks(first, last).inference
    assert (read.finish_reasons, read.usage) == (("length",), REPORTED)


def test_coheres_last_chunk_says_why_it_stopped_without_a_text() -> None:
    first = {"text": "Hello", "is_finished": False, "index": 0}
    last = {"is_finished": True, "finish_reason": "COMPLETE", "index": 0, "amazon-bedrock-invocationMetrics": METRICS}
    read = chunks(first, last).inference
    assert (read.finish_reasons, read.usage) == (("COMPLETE",), REPORTED)


def test_an_imported_model_completes_in_openais_words() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    choice = {"index": 0, "text": "Hello", "finish_reason": "length"}
    body = {"object": "text_completion", "model": "mine", "choices": [choice], "usage": usage}
    for extraction in (
        extract(exchange(INVOKE, {"prompt": "Hi"}, body)),
        chunks({**body, "amazon-bedrock-invocationMetrics": METRICS}),
    ):
        inference = extraction.inference
        assert (inference.operation_name, inference.response_model) == ("text_completion", "mine")
        assert (inference.finish_reasons, inference.usage) == (("length",), REPORTED)
        assert extraction.completion().texts == ("Hello",)


def test_a_guardrail_that_steps_in_ends_the_stream() -> None:
    blocked = {"outputText": "Blocked", "index": 0, "totalOutputTextTokenCount": 3, "inputTextTokenCount": 7}
    extraction = chunks({**blocked, "amazon-bedrock-guardrailAction": "INTERVENED"})
    assert (extraction.complete, extraction.inference.usage) == (True, REPORTED)
