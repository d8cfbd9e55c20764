"""Oracle's OCI Generative AI: OpenAI's chat in other spelling, Cohere's older form, texts without a usage."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Message, Prompt, Tool, ToolCall, Usage
from support.exchanges import exchange

CHAT = "/20231130/actions/chat"
MODE = {"servingType": "ON_DEMAND", "modelId": "meta.llama"}
USAGE = {"promptTokens": 7, "completionTokens": 3, "totalTokens": 10}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")
CALL = ToolCall(name="f", arguments='{"a": 1}')


def message(text: str | None = None, **fields: Any) -> dict[str, Any]:
    content = {"content": [{"type": "TEXT", "text": text}]} if text is not None else {}
    return {"role": "ASSISTANT", **content, **fields}


def chat(reply: Any, request: Any = None, **fields: Any) -> Extraction:
    wrapped = {"modelId": "meta.llama-3", "modelVersion": "1", "chatResponse": reply}
    asked = {"compartmentId": "c", "servingMode": MODE, "chatRequest": request or {"apiFormat": "GENERIC"}}
    return extract(exchange(CHAT, asked, reply if isinstance(reply, list) else wrapped, **fields))


def test_a_generic_chat_is_read() -> None:
    calls = [{"type": "FUNCTION", "id": "t", "name": "f", "arguments": '{"a": 1}'}]
    choice = {"index": 0, "message": message("Hello", toolCalls=calls), "finishReason": "tool_calls"}
    extraction = chat({"apiFormat": "GENERIC", "choices": [choice], "usage": USAGE})
    inference = extraction.inference
    assert (extraction.api, inference.provider_name, inference.operation_name) == ("oci.chat", "oracle_cloud", "chat")
    assert (inference.request_model, inference.response_model) == ("meta.llama", "meta.llama-3")
    assert (inference.finish_reasons, inference.tool_calls, inference.usage) == (("tool_calls",), 1, REPORTED)
    assert extraction.completion() == Completion(texts=("Hello",), tool_calls=(CALL,))


def test_reasoning_that_is_only_in_the_total_is_output_and_the_cache_is_input() -> None:
    parts = {"promptTokensDetails": {"cachedTokens": 3}, "completionTokensDetails": {"reasoningTokens": 586}}
    usage = chat({"choices": [], "usage": {**USAGE, **parts, "totalTokens": 596}}).inference.usage
    assert (usage.input_tokens, usage.output_tokens) == (7, 589)
    assert (usage.cache_read_input_tokens, usage.reasoning_output_tokens) == (3, 586)


@pytest.mark.parametrize(
    "reply",
    [
        {"apiFormat": "COHERE", "text": "Hello", "toolCalls": [{"name": "f", "parameters": {"a": 1}}]},
        {
            "apiFormat": "COHEREV2",
            "message": message("Hello", toolCalls=[{"function": {"name": "f", "arguments": '{"a": 1}'}}]),
        },
    ],
)
def test_cohere_has_its_text_beside_the_reason(reply: dict[str, Any]) -> None:
    extraction = chat({**reply, "finishReason": "COMPLETE", "usage": USAGE})
    assert (extraction.inference.finish_reasons, extraction.inference.usage) == (("COMPLETE",), REPORTED)
    assert extraction.completion() == Completion(texts=("Hello",), tool_calls=(CALL,))


def test_a_stream_says_its_usage_behind_the_choices() -> None:
    pieces = [{"index": 0, "message": message("Hel"), "pad": "aa"}, {"index": 0, "message": message("lo")}]
    ends = [{"message": message(""), "finishReason": "stop"}, {"usage": USAGE, "pad": "a"}, "[DONE]"]
    whole, cut = chat(pieces + ends), chat(pieces, aborted="client")
    assert (whole.complete, whole.inference.stream, whole.inference.usage) == (True, True, REPORTED)
    assert (whole.inference.finish_reasons, cut.inference.usage, cut.complete) == (("stop",), Usage(), False)
    assert whole.completion() == cut.completion() == Completion(texts=("Hello",))


def test_a_streamed_call_has_its_name_first() -> None:
    def piece(**call: Any) -> dict[str, Any]:
        return {"index": 0, "message": message(toolCalls=[{"type": "FUNCTION", **call}])}

    events = [piece(id="t", name="f"), piece(arguments='{"a":'), piece(arguments=" 1}"), {"finishReason": "tool_calls"}]
    extraction = chat(events)
    assert extraction.inference.tool_calls == 1
    assert extraction.completion() == Completion(texts=("",), tool_calls=(CALL,))


def test_coheres_last_event_repeats_the_whole_text() -> None:
    last = {"apiFormat": "COHERE", "text": "Hello", "chatHistory": [], "finishReason": "COMPLETE", "usage": USAGE}
    extraction = chat([{"apiFormat": "COHERE", "text": "Hel"}, {"apiFormat": "COHERE", "text": "lo"}, last])
    assert (extraction.inference.finish_reasons, extraction.inference.usage) == (("COMPLETE",), REPORTED)
    assert extraction.completion() == Completion(texts=("Hello",))


def test_the_prompt_is_messages_or_coheres_message() -> None:
    hi = {"role": "USER", "content": [{"type": "TEXT", "text": "Hi"}]}
    tools = [{"type": "FUNCTION", "name": "f", "parameters": {"type": "object"}}]
    generic = chat({}, {"apiFormat": "GENERIC", "messages": [hi], "tools": tools}).prompt()
    assert generic == Prompt(
        messages=(Message(role="USER", text="Hi"),), tools=(Tool(name="f", parameters={"type": "object"}),)
    )
    before = {"chatHistory": [{"role": "CHATBOT", "message": "Yes?"}], "preambleOverride": "Be brief."}
    cohere = chat({}, {"apiFormat": "COHERE", "message": "Hi", **before}).prompt()
    assert cohere is not None
    assert [said.text for said in cohere.messages] == ["Be brief.", "Yes?", "Hi"]


def test_a_generated_text_says_no_usage() -> None:
    texts = {"generatedTexts": [{"text": "Hello", "finishReason": "COMPLETE"}]}
    request = {"servingMode": {"endpointId": "e"}, "inferenceRequest": {"runtimeType": "COHERE", "prompt": "Hi"}}
    extraction = extract(
        exchange("/20231130/actions/generateText", request, {"modelId": "o", "inferenceResponse": texts})
    )
    assert (extraction.api, extraction.inference.request_model) == ("oci.generateText", "e")
    assert (extraction.inference.operation_name, extraction.inference.usage) == ("text_completion", Usage())
    assert extraction.inference.finish_reasons == ("COMPLETE",)
    assert (extraction.prompt(), extraction.completion()) == (Prompt(texts=("Hi",)), Completion(texts=("Hello",)))


@pytest.mark.parametrize(("action", "operation"), [("embedText", "embeddings"), ("rerankText", "rerank")])
def test_what_makes_no_text_has_an_input_alone(action: str, operation: str) -> None:
    request = {"servingMode": MODE, "inputs": ["Hi"]}
    said = {"id": "e", "modelId": "o", "usage": {"promptTokens": 7, "totalTokens": 7}}
    inference = extract(exchange(f"/20231130/actions/{action}", request, said)).inference
    assert (inference.operation_name, inference.response_id, inference.response_model) == (operation, "e", "o")
    assert inference.usage == Usage(input_tokens=7, total_tokens=7, source="reported")


def test_an_error_has_oracles_code() -> None:
    failed = {"code": "NotAuthorizedOrNotFound", "message": "no"}
    assert extract(exchange(CHAT, {}, failed, status=404)).inference.error_type == "NotAuthorizedOrNotFound"
