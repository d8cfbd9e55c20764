"""Anthropic's messages."""

from __future__ import annotations

from typing import Any

from llmtoken.extract import extract
from llmtoken.inference import Message, Tool, ToolCall, Usage
from support.exchanges import exchange

PATH = "/v1/messages"
ASK = {"model": "c", "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
START_USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "m1", "type": "message", "model": "c-1", "usage": START_USAGE}}
STOP = {"type": "message_stop"}


def delta(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def end(reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def streamed(*events: Any, **fields: Any) -> Any:
    return extract(exchange(PATH, ASK, list(events), **fields))


def test_a_whole_reply_is_read_and_the_cache_is_part_of_the_input() -> None:
    content = [{"type": "text", "text": "Hello"}, {"type": "tool_use", "name": "f", "input": {"x": 1}}]
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 5}
    reply = {
        "id": "m1",
        "type": "message",
        "model": "c-1",
        "content": content,
        "stop_reason": "tool_use",
        "usage": usage,
    }
    extraction = extract(exchange(PATH, ASK, reply))
    inference = extraction.inference
    assert (extraction.api, inference.operation_name) == ("anthropic.messages", "chat")
    assert (inference.response_id, inference.response_model, inference.finish_reasons) == ("m1", "c-1", ("tool_use",))
    assert inference.tool_calls == 1
    assert inference.usage == Usage(
        input_tokens=33,
        output_tokens=5,
        total_tokens=38,
        cache_read_input_tokens=20,
        cache_write_input_tokens=10,
        source="reported",
    )
    assert extraction.completion().tool_calls == (ToolCall(name="f", arguments='{"x": 1}'),)


def test_the_message_delta_overrides_the_placeholder_of_the_start() -> None:
    extraction = streamed(START, {"type": "ping"}, delta("Hel"), delta("lo"), end(output_tokens=5), STOP)
    assert extraction.complete
    assert extraction.inference.usage.input_tokens == 33
    assert extraction.inference.usage.output_tokens == 5
    assert extraction.inference.usage.source == "reported"
    assert extraction.inference.finish_reasons == ("end_turn",)
    assert extraction.completion().texts == ("Hello",)


def test_an_input_said_again_at_the_end_holds() -> None:
    usage = streamed(START, delta("Hi"), end(input_tokens=100, output_tokens=5), STOP).inference.usage
    assert usage.input_tokens == 130


def test_a_cut_stream_keeps_the_input_and_leaves_the_output_to_be_counted() -> None:
    extraction = streamed(START, delta("Hel"), aborted="client")
    assert not extraction.complete
    assert extraction.inference.usage == Usage(
        input_tokens=33, cache_read_input_tokens=20, cache_write_input_tokens=10, source="partial"
    )
    assert extraction.completion().texts == ("Hel",)


def test_a_stream_cut_after_its_usage_is_reported() -> None:
    extraction = streamed(START, delta("Hello"), end(output_tokens=5), aborted="client")
    assert extraction.inference.usage.source == "reported"


def test_an_error_event_is_an_error() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    extraction = streamed(START, delta("Hel"), error)
    assert extraction.inference.error_type == "overloaded_error"
    assert not extraction.complete


def test_only_the_clients_tools_are_tool_calls_but_all_calls_are_output() -> None:
    blocks = [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "server_tool_use", "name": "s", "input": {}},
        },
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"x":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
    ]
    extraction = streamed(START, *blocks, end("tool_use", output_tokens=9), STOP)
    assert extraction.inference.tool_calls == 1
    assert extraction.completion().tool_calls == (ToolCall(name="s"), ToolCall(name="f", arguments='{"x":1}'))


def test_visible_thinking_is_reasoning() -> None:
    thinking = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}
    assert streamed(START, thinking, delta("Yes"), end(output_tokens=5), STOP).completion().reasoning == "Hm."


def test_the_prompt_has_system_messages_and_tools() -> None:
    request = {
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "42"}]}]},
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
    }
    prompt = extract(exchange(PATH, request, {"type": "message"})).prompt()
    assert prompt.messages == (
        Message(role="system", text="Be brief."),
        Message(role="assistant", tool_calls=(ToolCall(name="f", arguments='{"x": 1}'),)),
        Message(role="user", text="42"),
    )
    assert prompt.tools == (Tool(name="f", description="d", parameters={"type": "object"}),)


def test_a_zero_behind_a_number_is_a_gateways_placeholder() -> None:
    start = {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 9, "output_tokens": 1}}}
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0},
    }
    usage = extract(exchange("/v1/messages", {}, [start, delta, {"type": "message_stop"}])).inference.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (9, 0, 0)


def test_a_zero_behind_null_was_said() -> None:
    start = {"type": "message_start", "message": {"id": "m", "usage": {"cache_read_input_tokens": None}}}
    said = {"input_tokens": 9, "cache_read_input_tokens": 0, "output_tokens": 4}
    usage = streamed(start, {"type": "message_delta", "delta": {}, "usage": said}, STOP).inference.usage
    assert usage.cache_read_input_tokens == 0


def test_counting_on_vertex_is_no_usage() -> None:
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"
    extraction = extract(exchange(path, {"model": "claude-x"}, {"input_tokens": 14}))
    assert (extraction.api, extraction.countable) == ("anthropic.count_tokens", False)
    assert extraction.inference.request_model == "claude-x"
    assert not extraction.inference.usage.known
