"""Tencent's own API for Hunyuan: capitals, a wrapping, errors in a status of 200."""

from __future__ import annotations

from typing import Any

from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Message, Prompt, ToolCall, Usage
from support.exchanges import exchange

ASK = {"Model": "hunyuan-pro", "Messages": [{"Role": "user", "Content": "Hi"}]}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def usage(made: int) -> dict[str, int]:
    return {"PromptTokens": 7, "CompletionTokens": made, "TotalTokens": 7 + made}


def ask(reply: Any, **fields: Any) -> Extraction:
    return extract(exchange("/", ASK, reply if isinstance(reply, list) else {"Response": reply}, **fields))


def test_a_chat_is_in_its_wrapping() -> None:
    call = {"Id": "t", "Type": "function", "Function": {"Name": "f", "Arguments": "{}"}}
    message = {"Role": "assistant", "Content": "Hello", "ToolCalls": [call]}
    extraction = ask(
        {"Id": "c", "RequestId": "r", "Choices": [{"Message": message, "FinishReason": "stop"}], "Usage": usage(3)}
    )
    inference = extraction.inference
    assert (extraction.api, inference.provider_name, inference.operation_name) == (
        "tencent.hunyuan",
        "tencent_cloud",
        "chat",
    )
    assert (inference.request_model, inference.response_id, inference.finish_reasons) == ("hunyuan-pro", "c", ("stop",))
    assert (inference.usage, inference.tool_calls) == (REPORTED, 1)
    assert extraction.prompt() == Prompt(messages=(Message(role="user", text="Hi"),))
    assert extraction.completion() == Completion(texts=("Hello",), tool_calls=(ToolCall(name="f", arguments="{}"),))


def test_a_stream_repeats_a_growing_usage() -> None:
    def chunk(content: str, made: int, why: str = "") -> dict[str, Any]:
        return {"Id": "c", "Choices": [{"Delta": {"Content": content}, "FinishReason": why}], "Usage": usage(made)}

    extraction = ask([chunk("Hel", 1), chunk("lo", 3, "stop")])
    assert (extraction.complete, extraction.inference.stream, extraction.inference.usage) == (True, True, REPORTED)
    assert extraction.completion() == Completion(texts=("Hello",))
    cut = ask([chunk("Hel", 1)], aborted="client").inference.usage
    assert (cut.output_tokens, cut.source) == (1, "partial")


def test_embeddings_have_an_input_alone() -> None:
    reply = {"Response": {"Data": [{"Embedding": [0.1]}], "Usage": {"PromptTokens": 7, "TotalTokens": 7}}}
    request = {"Model": "hunyuan-embedding", "Messages": [], "Input": "Hi"}
    inference = extract(exchange("/", request, reply)).inference
    assert (inference.operation_name, inference.usage) == (
        "embeddings",
        Usage(input_tokens=7, total_tokens=7, source="reported"),
    )


def test_an_error_in_a_200_is_one() -> None:
    failed = ask({"Error": {"Code": "AuthFailure.SignatureFailure", "Message": "no"}, "RequestId": "r"})
    assert (failed.inference.error_type, failed.countable) == ("AuthFailure.SignatureFailure", False)
    assert ask([{"Id": "c", "ErrorMsg": {"Msg": "no", "Code": 4001}}]).inference.error_type == "4001"
