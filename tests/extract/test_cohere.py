"""Cohere's APIs."""

from __future__ import annotations

from typing import Any

from llmtoken.extract import extract
from llmtoken.inference import Completion, Message, Prompt, ToolCall, Usage
from support.exchanges import exchange, ndjson

TOKENS = {"tokens": {"input_tokens": 70, "output_tokens": 9, "reasoning_tokens": 4}, "cached_tokens": 60}
BILLED = {"billed_units": {"input_tokens": 7, "output_tokens": 3}}
READ = Usage(
    input_tokens=70,
    output_tokens=9,
    total_tokens=79,
    cache_read_input_tokens=60,
    reasoning_output_tokens=4,
    source="reported",
)


def event(kind: str, **message: Any) -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": message}}


def test_tokens_are_believed_over_billed_units() -> None:
    reply = {"id": "c", "message": {"content": []}, "finish_reason": "COMPLETE", "usage": {**BILLED, **TOKENS}}
    inference = extract(exchange("/v2/chat", {"model": "m"}, reply)).inference
    assert (inference.response_id, inference.finish_reasons, inference.usage) == ("c", ("COMPLETE",), READ)


def test_a_v2_stream_is_folded() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
    events = [
        {"type": "message-start", "id": "c"},
        event("tool-plan-delta", tool_plan="I will."),
        event("tool-call-start", tool_calls=call),
        event("tool-call-delta", tool_calls={"function": {"arguments": "{}"}}),
        event("content-delta", content={"text": "Hello"}),
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {**BILLED, **TOKENS}}},
    ]
    extraction = extract(exchange("/v2/chat", {"model": "m"}, events))
    assert extraction.complete
    assert (extraction.inference.tool_calls, extraction.inference.finish_reasons) == (1, ("TOOL_CALL",))
    assert extraction.inference.usage == READ
    expected = (ToolCall(name="f", arguments="{}"),)
    assert extraction.completion() == Completion(texts=("Hello",), reasoning="I will.", tool_calls=expected)


def test_a_v1_stream_ends_with_the_whole_reply() -> None:
    whole = {"text": "Hello", "generation_id": "g", "finish_reason": "COMPLETE", "meta": {**BILLED, **TOKENS}}
    lines = [
        {"event_type": "stream-start", "generation_id": "g"},
        {"event_type": "text-generation", "text": "Hello"},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": whole},
    ]
    headers = {"content-type": "application/stream+json"}
    extraction = extract(exchange("/v1/chat", {"message": "Hi"}, ndjson(lines), response_headers=headers))
    assert (extraction.api, extraction.complete, extraction.inference.stream) == ("cohere.chat", True, True)
    assert extraction.inference.usage == READ
    assert extraction.completion().texts == ("Hello",)


def test_a_v1_prompt_has_preamble_history_and_message() -> None:
    request = {"preamble": "Be brief.", "chat_history": [{"role": "CHATBOT", "message": "Yes?"}], "message": "Hi"}
    assert extract(exchange("/v1/chat", request, {})).prompt() == Prompt(
        messages=(
            Message(role="system", text="Be brief."),
            Message(role="chatbot", text="Yes?"),
            Message(role="user", text="Hi"),
        )
    )


def test_openais_words_on_coheres_path_are_a_chat() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    reply = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
    assert extract(exchange("/v1/chat", request, reply)).api == "openai.chat"


def test_others_are_asked_with_a_message_too() -> None:
    asked = {"message": "Hi", "mode": "chat"}
    metrics = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    reply = {"id": "x", "type": "textResponse", "textResponse": "Hello", "error": None, "metrics": metrics}
    other = extract(exchange("/api/v1/workspace/w/chat", asked, reply))
    assert (other.api, other.inference.usage.input_tokens) == ("generic", 7)
    failed = exchange("/v1/chat", {"message": "Hi"}, {"id": "e", "message": "no such model"}, status=404)
    assert extract(failed).api == "cohere.chat"


def test_billed_units_stand_in_where_there_are_no_tokens() -> None:
    reply = {"id": "g", "generations": [{"text": "Hello", "finish_reason": "COMPLETE"}], "meta": BILLED}
    extraction = extract(exchange("/v1/generate", {"prompt": "Hi"}, reply))
    assert extraction.inference.usage == Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")
    assert extraction.completion().texts == ("Hello",)


def test_images_of_an_embedding_are_input_beside_its_texts() -> None:
    reply = {"id": "e", "embeddings": {}, "meta": {"billed_units": {"input_tokens": 7, "image_tokens": 100}}}
    usage = extract(exchange("/v2/embed", {"texts": ["Hi"]}, reply)).inference.usage
    assert usage == Usage(input_tokens=107, source="reported")


def test_searches_are_no_tokens() -> None:
    reply = {"id": "r", "results": [], "meta": {"billed_units": {"search_units": 1}}}
    extraction = extract(exchange("/v2/rerank", {"query": "q", "documents": []}, reply))
    assert extraction.inference.usage == Usage()
    assert not extraction.countable
