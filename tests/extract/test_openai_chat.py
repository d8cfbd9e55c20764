"""Chat completions: whole and streamed, and the dialects that others speak."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Message, Tool, ToolCall, Usage
from support.exchanges import exchange

PATH = "/v1/chat/completions"
ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def reply(**fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "model": "m-1", "choices": [choice], "usage": USAGE, **fields}


def chunk(
    content: str | None = None, finish: str | None = None, index: int | None = 0, **fields: Any
) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m-1", "choices": [choice], **fields}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c1", "choices": [{"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": None}]}


def streamed(*events: Any, **fields: Any) -> Any:
    return extract(exchange(PATH, ASK, list(events), **fields))


def test_a_whole_reply_is_read() -> None:
    extraction = extract(exchange(PATH, ASK, reply()))
    inference = extraction.inference
    assert extraction.api == "openai.chat"
    assert extraction.complete
    assert not extraction.problems
    assert (inference.operation_name, inference.request_model, inference.response_model) == ("chat", "m", "m-1")
    assert (inference.response_id, inference.finish_reasons, inference.stream) == ("c1", ("stop",), False)
    assert inference.usage == REPORTED


@pytest.mark.parametrize(
    "path",
    [
        "/chat/completions",
        "/openai/deployments/d/chat/completions",
        "/api/v1/chat/completions",
        "/v1beta/openai/chat/completions",
        "/anything/in/front/v1/chat/completions/",
    ],
)
def test_it_does_not_matter_where_the_api_is_mounted(path: str) -> None:
    assert extract(exchange(path, ASK, reply())).api == "openai.chat"


def test_a_deployment_in_the_path_is_the_model_when_the_body_names_none() -> None:
    path = "/openai/deployments/my%20model/chat/completions"
    assert extract(exchange(path, {"messages": []}, reply())).inference.request_model == "my model"


def test_usage_is_taken_from_a_last_chunk_of_its_own() -> None:
    extraction = streamed(chunk("Hel"), chunk("lo"), chunk(finish="stop"), {"choices": [], "usage": USAGE}, "[DONE]")
    assert extraction.complete
    assert extraction.inference.stream
    assert extraction.inference.usage == REPORTED
    assert extraction.inference.finish_reasons == ("stop",)


def test_the_last_of_growing_usages_holds_and_null_ones_are_passed_over() -> None:
    growing = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
    extraction = streamed(chunk("Hel", usage=growing), chunk("lo", usage=None), chunk(finish="stop", usage=USAGE))
    assert extraction.inference.usage == REPORTED


def test_groq_puts_usage_into_a_field_of_its_own() -> None:
    first, last = chunk("Hi", x_groq={"id": "r"}), chunk(finish="stop", x_groq={"id": "r", "usage": USAGE})
    extraction = streamed(first, last, "[DONE]")
    assert extraction.inference.usage == REPORTED
    assert extraction.inference.provider_name == "groq"


def test_llama_cpp_says_it_in_its_timings_when_nobody_asked_for_usage() -> None:
    timings = {"cache_n": 4, "prompt_n": 3, "prompt_ms": 0.6, "predicted_n": 2, "predicted_ms": 0.7}
    usage = streamed(chunk("Hi"), chunk(finish="stop", timings=timings), "[DONE]").inference.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (7, 2, 9)
    assert (usage.cache_read_input_tokens, usage.source) == (4, "reported")


def test_timings_that_leave_out_the_cache_do_not_say_how_much_went_in() -> None:
    timings = {"prompt_n": 3, "predicted_n": 2}
    assert streamed(chunk("Hi"), chunk(finish="stop", timings=timings), "[DONE]").inference.usage == Usage()


def test_a_stream_without_usage_is_complete_and_left_to_be_counted() -> None:
    extraction = streamed(chunk("Hel"), chunk("lo"), chunk(finish="stop"), "[DONE]")
    assert extraction.complete
    assert extraction.countable
    assert extraction.inference.usage == Usage()
    assert extraction.completion().texts == ("Hello",)


def test_a_stream_cut_before_its_end_is_not_complete() -> None:
    extraction = streamed(chunk("Hel"), chunk("lo"), aborted="client")
    assert not extraction.complete
    assert extraction.completion().texts == ("Hello",)


def test_a_stream_whose_client_left_after_the_end_is_complete() -> None:
    assert streamed(chunk("Hi"), chunk(finish="stop"), "[DONE]", aborted="client").complete


def test_finished_choices_without_an_end_marker_are_complete_when_nobody_cut_the_stream() -> None:
    events = chunk("Hi"), chunk(finish="stop")
    assert streamed(*events, aborted="").complete
    assert not streamed(*events, aborted="upstream").complete


def test_usage_on_its_way_when_the_stream_was_cut_is_partial() -> None:
    extraction = streamed(chunk("Hel", usage=USAGE), aborted="client")
    assert extraction.inference.usage.source == "partial"
    assert extraction.inference.usage.output_tokens == 3


def test_a_usage_before_any_output_is_not_the_final_one() -> None:
    assert not streamed({"choices": [], "usage": USAGE}, chunk("Hel"), aborted="client").complete


def test_an_input_that_was_known_before_the_cut_is_kept_and_the_output_left_to_be_counted() -> None:
    early = {"prompt_tokens": 7, "completion_tokens": None, "total_tokens": None}
    usage = streamed(chunk("Hel", usage=early), aborted="client").inference.usage
    assert usage == Usage(input_tokens=7, source="partial")


def test_every_choice_has_its_finish_reason_in_order() -> None:
    extraction = streamed(
        chunk("b", index=1), chunk("a"), chunk(finish="length", index=1), chunk(finish="stop"), "[DONE]"
    )
    assert extraction.inference.finish_reasons == ("stop", "length")
    assert extraction.completion().texts == ("a", "b")


def test_one_finished_choice_of_two_does_not_end_the_stream() -> None:
    extraction = streamed(chunk("a"), chunk("b", index=1), chunk(finish="stop", usage=USAGE), aborted="client")
    assert not extraction.complete


def test_a_null_index_is_the_first_choice() -> None:
    assert streamed(chunk("a", index=None), chunk("b"), "[DONE]").completion().texts == ("ab",)


def test_an_error_in_the_stream_is_an_error_although_the_status_is_200() -> None:
    extraction = streamed(chunk("Hel"), {"error": {"type": "server_error", "message": "x"}})
    assert extraction.inference.error_type == "server_error"
    assert not extraction.complete


def test_streamed_pieces_of_a_tool_call_are_one_call() -> None:
    first = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"x"', ":1}")]
    extraction = streamed(calling(first), *map(calling, rest), chunk(finish="tool_calls"), "[DONE]")
    assert extraction.inference.tool_calls == 1
    assert extraction.completion().tool_calls == (ToolCall(name="f", arguments='{"x":1}'),)


def test_whole_tool_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    calls = [{"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
    assert streamed(*map(calling, calls), chunk(finish="stop"), "[DONE]").inference.tool_calls == 2


def test_whole_tool_calls_without_id_and_index_are_told_apart_by_their_names() -> None:
    calls = [{"function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
    assert streamed(*map(calling, calls), chunk(finish="stop"), "[DONE]").inference.tool_calls == 2


def test_a_legacy_function_call_is_a_tool_call() -> None:
    message = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    choice = {"index": 0, "message": message, "finish_reason": "function_call"}
    extraction = extract(exchange(PATH, ASK, reply(choices=[choice])))
    assert extraction.inference.tool_calls == 1
    assert extraction.completion().tool_calls == (ToolCall(name="f", arguments="{}"),)


def test_an_empty_legacy_function_call_is_none() -> None:
    message = {"content": "Hi", "function_call": {"name": "", "arguments": ""}, "tool_calls": None}
    extraction = extract(exchange(PATH, ASK, reply(choices=[{"message": message, "finish_reason": "stop"}])))
    assert extraction.inference.tool_calls == 0
    assert extraction.completion().tool_calls == ()


def test_output_is_timed_by_the_chunks_that_carry_some() -> None:
    events = [chunk(""), chunk("a"), chunk("b"), chunk("c"), chunk(finish="stop"), "[DONE]"]
    made = exchange(PATH, ASK, events)
    ends = [event.end for event in made.response.events]
    timeline = [(end, 0.1 * number) for number, end in enumerate(ends, 1)]
    timing = extract(exchange(PATH, ASK, events, timeline=timeline)).inference.timing
    assert timing.time_to_first_chunk == pytest.approx(0.2)
    assert timing.time_per_output_chunk == pytest.approx(0.1)


def test_the_prompt_has_messages_and_tools() -> None:
    request = {
        "messages": [
            {
                "role": "user",
                "name": "ann",
                "content": [{"type": "text", "text": "What is "}, {"type": "image_url"}, "it?"],
            },
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
        ],
    }
    prompt = extract(exchange(PATH, request, reply())).prompt()
    assert prompt.messages == (
        Message(role="user", name="ann", text="What is it?"),
        Message(role="assistant", tool_calls=(ToolCall(name="f", arguments="{}"),)),
    )
    assert prompt.tools == (Tool(name="f", description="d", parameters={"type": "object"}),)


def test_visible_reasoning_is_kept_apart_from_the_answer() -> None:
    thinking = {"choices": [{"index": 0, "delta": {"reasoning_content": "Hm."}}]}
    completion = streamed(thinking, chunk("Yes"), chunk(finish="stop"), "[DONE]").completion()
    assert (completion.reasoning, completion.texts) == ("Hm.", ("Yes",))


def test_an_empty_delta_beside_a_whole_message_does_not_hide_its_text() -> None:
    """Perplexity sends both with every choice."""
    choice = {"index": 0, "message": {"content": "Hello"}, "delta": {"content": "", "role": "assistant"}}
    assert extract(exchange(PATH, ASK, reply(choices=[choice]))).completion().texts == ("Hello",)


def test_a_message_so_far_beside_a_delta_is_not_counted_twice() -> None:
    chunks = [
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": piece}, "message": sofar}]}
        for piece, sofar in (("Hel", {"content": "Hel"}), ("lo", {"content": "Hello"}))
    ]
    assert streamed(*chunks).completion().texts == ("Hello",)


def test_thinking_inside_the_content_is_reasoning_and_not_text() -> None:
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "4"}]
    choice = {"index": 0, "message": {"content": content}}
    said = extract(exchange(PATH, ASK, reply(choices=[choice]))).completion()
    assert said
    assert (said.reasoning, said.texts) == ("Hm.", ("4",))


def test_an_error_inside_a_choice_is_an_error() -> None:
    failed = {"error": {"code": 502, "message": "x"}, "finish_reason": "error", "message": {"content": ""}}
    extraction = extract(exchange(PATH, ASK, reply(choices=[failed], usage=None)))
    assert (extraction.inference.error_type, extraction.countable) == ("502", False)


def test_an_error_that_stands_alone_in_a_stream_is_an_error() -> None:
    """vLLM's old form, and an event whose data is prose."""
    old = {"object": "error", "message": "x", "type": "InternalServerError", "code": 500}
    assert streamed(chunk("a"), old, "[DONE]").inference.error_type == "InternalServerError"
    prose = "data: {}\n\nevent: error\ndata: it broke\n\n"
    headers = {"content-type": "text/event-stream"}
    assert extract(exchange(PATH, ASK, prose, response_headers=headers)).inference.error_type == "error"


def test_spoken_output_is_output() -> None:
    spoken = {"choices": [{"index": 0, "delta": {"audio": {"data": "AAAA"}}}]}
    said = {"choices": [{"index": 0, "delta": {"audio": {"transcript": "Hi"}}}]}
    headers, timeline = {"content-type": "text/event-stream"}, [[1, 0.5], [1000, 1.5]]
    read = streamed(spoken, said, response_headers=headers, timeline=timeline)
    assert read.inference.timing.time_to_first_chunk == 1.5


def test_moonshot_says_its_usage_in_the_choice_that_it_ends() -> None:
    last = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}
    extraction = streamed(chunk("a"), {"id": "c1", "choices": [last]}, "[DONE]")
    assert (extraction.inference.usage, extraction.inference.finish_reasons) == (REPORTED, ("stop",))


def test_minimax_says_its_errors_beside_the_choices() -> None:
    refused = {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}}
    worked = {"choices": [{"message": {"content": "Hello"}}], "base_resp": {"status_code": 0, "status_msg": ""}}
    for path in ("/v1/chat/completions", "/v1/text/chatcompletion_v2"):
        errors = [extract(exchange(path, ASK, reply)).inference.error_type for reply in (refused, worked)]
        assert errors == ["1004", None]
