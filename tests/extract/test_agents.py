"""Agents that ask their models many times for one answer: Bedrock's, and those made with Google's ADK."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import extract
from llmtoken.inference import Extraction, Usage
from support.exchanges import exchange, ndjson

BEDROCK = "/agents/A/agentAliases/B/sessions/s/text"
ENGINE = "/v1/projects/p/locations/l/reasoningEngines/1:streamQuery"
SUM = Usage(input_tokens=17, output_tokens=5, total_tokens=22, source="reported")
CHUNK = ("chunk", {"bytes": base64.b64encode(b"Hello").decode()})


def bedrock(*events: tuple[str, Any], path: str = BEDROCK, request: Any = None, aborted: str = "") -> Extraction:
    """A reply as an AWS event stream gives it."""
    body = Body(framing="aws_event_stream", events=tuple(Event(data, name) for name, data in events))
    asked = Body(framing="json", json=request)
    return extract(Exchange(method="POST", path=path, status=200, aborted=aborted, request=asked, response=body))


def step(kind: str, **said: Any) -> tuple[str, Any]:
    return "trace", {"callerChain": [], "trace": {kind: said}}


def asked(model: str) -> tuple[str, Any]:
    return step("orchestrationTrace", modelInvocationInput={"foundationModel": model, "text": "…"})


def used(kind: str, read: int, made: int) -> tuple[str, Any]:
    return step(kind, modelInvocationOutput={"metadata": {"usage": {"inputTokens": read, "outputTokens": made}}})


def test_what_the_models_of_a_bedrock_agent_used_is_added_up() -> None:
    events = [asked("m"), used("preProcessingTrace", 7, 3), CHUNK, used("orchestrationTrace", 10, 2)]
    extraction = bedrock(*events)
    inference = extraction.inference
    assert (extraction.api, extraction.complete, extraction.countable) == ("bedrock.agents", True, False)
    assert (inference.operation_name, inference.provider_name) == ("invoke_agent", "aws.bedrock")
    assert (inference.usage, inference.response_model, inference.request_model) == (SUM, "m", None)


def test_an_agent_of_several_models_has_none() -> None:
    assert bedrock(asked("m"), asked("n"), CHUNK).inference.response_model is None


def test_an_agent_that_does_not_trace_says_nothing_and_nothing_is_estimated() -> None:
    extraction = bedrock(CHUNK, request={"inputText": "Hi", "enableTrace": False})
    assert (extraction.inference.usage, extraction.countable, extraction.complete) == (Usage(), False, True)


def test_an_agent_that_was_left_has_what_it_had_used() -> None:
    usage = bedrock(used("orchestrationTrace", 7, 3), aborted="client").inference.usage
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (7, 3, "partial")


def test_an_inline_agent_is_known_by_its_request() -> None:
    extraction = bedrock(CHUNK, path="/agents/s", request={"foundationModel": "m", "inputText": "Hi"})
    assert (extraction.api, extraction.inference.request_model) == ("bedrock.agents", "m")


def test_calls_that_the_client_is_to_make_end_a_turn() -> None:
    extraction = bedrock(("returnControl", {"invocationId": "i", "invocationInputs": [{}, {}]}))
    assert (extraction.inference.tool_calls, extraction.complete) == (2, True)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (("throttlingException", {"message": "no"}), "throttlingException"),
        (step("failureTrace", failureReason="no"), "failureTrace"),
    ],
)
def test_an_error_of_a_bedrock_agent_is_one(event: tuple[str, Any], expected: str) -> None:
    assert bedrock(event).inference.error_type == expected


def test_a_knowledge_base_that_answers_says_no_tokens() -> None:
    config = {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": {"modelArn": "m"}}
    request = {"input": {"text": "Hi"}, "retrieveAndGenerateConfiguration": config}
    whole = extract(exchange("/retrieveAndGenerate", request, {"output": {"text": "Hello"}, "sessionId": "s"}))
    stream = bedrock(("output", {"text": "Hello"}), path="/retrieveAndGenerateStream", request=request)
    for extraction in (whole, stream):
        assert (extraction.inference.operation_name, extraction.inference.request_model) == ("chat", "m")
        assert (extraction.inference.usage, extraction.countable, extraction.complete) == (Usage(), False, True)


def test_a_search_of_a_knowledge_base_uses_no_model() -> None:
    extraction = extract(exchange("/knowledgebases/K/retrieve", {"retrievalQuery": {}}, {"retrievalResults": []}))
    assert (extraction.inference.operation_name, extraction.countable) == ("retrieval", False)


def said(read: int, made: int, text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """An event as ADK's own server writes it."""
    usage = {"promptTokenCount": read, "candidatesTokenCount": made, "totalTokenCount": read + made}
    return {
        "content": {"parts": [{"text": text}]},
        "invocationId": "e",
        "author": "a",
        "usageMetadata": usage,
        **fields,
    }


CALL = {"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}}


def adk(reply: Any, path: str = "/run_sse", **fields: Any) -> Extraction:
    return extract(exchange(path, {"appName": "a", "newMessage": {}}, reply, **fields))


def test_what_the_models_of_an_adk_agent_used_is_added_up() -> None:
    events = [
        said(7, 3, **CALL, modelVersion="gemini", finishReason="STOP"),
        {"content": {"parts": [{"functionResponse": {}}]}, "invocationId": "e", "author": "a"},
        said(10, 2, modelVersion="gemini", finishReason="STOP"),
    ]
    extraction = adk(events)
    inference = extraction.inference
    assert (extraction.api, extraction.complete, extraction.countable) == ("google.adk", True, False)
    assert (inference.operation_name, inference.stream, inference.tool_calls) == ("invoke_agent", True, 1)
    assert (inference.usage, inference.response_id, inference.finish_reasons) == (SUM, "e", ("STOP",))
    assert inference.response_model == "gemini"


def test_partial_events_are_not_added_to_the_whole_that_follows() -> None:
    events = [said(17, 1, partial=True), said(17, 4, partial=True), said(17, 5)]
    assert adk(events).inference.usage == SUM


def test_a_call_that_ends_in_text_and_tool_calls_is_counted_once() -> None:
    call = [said(7, 1, partial=True), said(7, 3), said(7, 3, **CALL)]
    assert adk([*call, said(10, 1, partial=True), said(10, 2)]).inference.usage == SUM


def test_calls_of_models_that_do_not_stream_are_all_added() -> None:
    usage = adk([said(7, 3), said(7, 3)]).inference.usage
    assert (usage.input_tokens, usage.output_tokens) == (14, 6)


def test_agents_that_run_side_by_side_are_told_apart() -> None:
    events = [said(7, 1, partial=True), said(7, 3), said(10, 2, author="b"), said(7, 3, **CALL)]
    assert adk(events).inference.usage == SUM


def test_a_stream_that_was_left_has_its_last_partial_usage() -> None:
    extraction = adk([said(7, 3, **CALL), said(10, 1, partial=True), said(10, 2, partial=True)], aborted="client")
    usage = extraction.inference.usage
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (17, 5, "partial")


def test_all_events_at_once_are_a_list() -> None:
    extraction = adk(json.dumps([said(7, 3), said(10, 2)]), path="/run")
    assert (extraction.api, extraction.inference.stream, extraction.inference.usage) == ("google.adk", False, SUM)


def test_agent_engine_writes_lines_with_underscores() -> None:
    def line(read: int, made: int, thoughts: int) -> dict[str, Any]:
        usage = {"prompt_token_count": read, "candidates_token_count": made, "thoughts_token_count": thoughts}
        return {"content": {"parts": [{"text": "Hi"}]}, "usage_metadata": usage, "invocation_id": "e", "author": "a"}

    extraction = extract(exchange(ENGINE, {"input": {"message": "Hi"}}, ndjson([line(7, 1, 2), line(10, 1, 1)])))
    inference = extraction.inference
    assert (inference.provider_name, inference.response_id) == ("gcp.vertex_ai", "e")
    assert (inference.usage.input_tokens, inference.usage.output_tokens) == (17, 5)
    assert inference.usage.reasoning_output_tokens == 3


def test_a_line_that_stands_alone_is_read_too() -> None:
    assert extract(exchange(ENGINE, {"input": {}}, said(17, 5))).inference.usage == SUM


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"error": "boom"}, "error"),
        ({"invocationId": "e", "author": "a", "errorCode": "MALFORMED_FUNCTION_CALL"}, "MALFORMED_FUNCTION_CALL"),
    ],
)
def test_an_error_of_an_adk_agent_is_one(event: dict[str, Any], expected: str) -> None:
    assert adk([said(7, 3), event]).inference.error_type == expected
