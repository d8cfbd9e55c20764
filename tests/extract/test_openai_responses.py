"""The responses API."""

from __future__ import annotations

from typing import Any

from llmtoken.extract import extract
from llmtoken.inference import Message, Tool, ToolCall, Usage
from support.exchanges import exchange

PATH = "/v1/responses"
ASK = {"model": "m", "input": "Hi"}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 15,
}
TEXT = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


def response(status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"id": "r1", "object": "response", "model": "m-1", "status": status, "error": None, **fields}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def test_a_whole_reply_is_read_and_its_status_is_the_finish_reason() -> None:
    extraction = extract(exchange(PATH, ASK, response(usage=USAGE, output=[TEXT, CALL, {"type": "web_search_call"}])))
    inference = extraction.inference
    assert (extraction.api, inference.operation_name) == ("openai.responses", "chat")
    assert (inference.response_id, inference.response_model, inference.finish_reasons) == ("r1", "m-1", ("completed",))
    assert inference.tool_calls == 1
    assert inference.usage == Usage(
        input_tokens=9,
        output_tokens=6,
        total_tokens=15,
        cache_read_input_tokens=4,
        reasoning_output_tokens=5,
        source="reported",
    )
    assert extraction.completion().texts == ("Hello",)


def test_the_last_event_of_a_stream_holds_everything() -> None:
    events = [
        event("created", response=response("in_progress")),
        event("output_text.delta", delta="Hello"),
        event("completed", response=response(usage=USAGE, output=[TEXT])),
    ]
    extraction = extract(exchange(PATH, ASK, events))
    assert extraction.complete
    assert extraction.inference.usage.output_tokens == 6
    assert extraction.inference.finish_reasons == ("completed",)
    assert extraction.completion().texts == ("Hello",)


def test_a_cut_stream_keeps_what_had_arrived() -> None:
    events = [
        event("created", response=response("in_progress")),
        event("output_text.delta", delta="Hel"),
        event("output_item.added", output_index=1, item={"type": "function_call", "name": "f"}),
        event("function_call_arguments.delta", output_index=1, delta='{"x"'),
    ]
    extraction = extract(exchange(PATH, ASK, events, aborted="client"))
    assert not extraction.complete
    assert (extraction.inference.response_id, extraction.inference.response_model) == ("r1", "m-1")
    assert extraction.inference.finish_reasons == ()
    assert extraction.completion().texts == ("Hel",)
    assert extraction.completion().tool_calls == (ToolCall(name="f", arguments='{"x"'),)


def test_a_background_response_that_is_not_made_yet_is_not_counted() -> None:
    extraction = extract(exchange(PATH, ASK, response("queued", usage=None)))
    assert not extraction.countable
    assert extraction.inference.usage == Usage()


def test_a_failed_response_is_an_error() -> None:
    failed = response("failed", error={"code": "server_error", "message": "x"})
    assert extract(exchange(PATH, ASK, failed)).inference.error_type == "server_error"
    assert extract(exchange(PATH, ASK, [event("failed", response=failed)])).inference.error_type == "server_error"


def test_an_error_event_is_an_error() -> None:
    events = [{"type": "error", "code": "rate_limit_exceeded", "message": "x"}]
    assert extract(exchange(PATH, ASK, events)).inference.error_type == "rate_limit_exceeded"


def test_the_prompt_has_instructions_items_and_tools() -> None:
    request = {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            CALL,
            {"type": "function_call_output", "call_id": "c", "output": "42"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}, {"type": "web_search"}],
    }
    prompt = extract(exchange(PATH, request, response())).prompt()
    assert prompt.messages == (
        Message(role="system", text="Be brief."),
        Message(role="user", text="Hi"),
        Message(role="assistant", tool_calls=(ToolCall(name="f", arguments="{}"),)),
        Message(role="tool", text="42"),
    )
    assert prompt.tools == (Tool(name="f", parameters={"type": "object"}),)


def test_a_background_response_whose_stream_is_left_is_counted_when_it_is_fetched() -> None:
    response = {"id": "r", "model": "m", "status": "queued", "background": True, "usage": None}
    created = {"type": "response.created", "response": response}
    extraction = extract(exchange("/v1/responses", {"model": "m", "background": True}, [created], aborted="client"))
    assert (extraction.inference.response_id, extraction.countable) == ("r", False)
