"""Baidu's Qianfan before its version 2: a result, a growing usage, the model in the path."""

from __future__ import annotations

from typing import Any

from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Message, Prompt, ToolCall, Usage
from support.exchanges import exchange

PATH = "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/completions_pro"
ASK = {"messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def said(result: str, made: int, **fields: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 7, "completion_tokens": made, "total_tokens": 7 + made}
    return {"id": "as", "object": "chat.completion", "result": result, "usage": usage, **fields}


def ask(reply: Any, **fields: Any) -> Extraction:
    return extract(exchange(PATH, ASK, reply, **fields))


def test_a_chat_is_read() -> None:
    extraction = ask(said("Hello", 3, finish_reason="normal"))
    inference = extraction.inference
    assert (extraction.api, inference.provider_name, inference.request_model) == (
        "baidu.wenxin",
        "baidu_cloud",
        "completions_pro",
    )
    assert (inference.response_id, inference.usage, inference.finish_reasons) == ("as", REPORTED, ("normal",))
    system, hi = Message(role="system", text="Be brief."), Message(role="user", text="Hi")
    assert (extraction.prompt(), extraction.completion()) == (
        Prompt(messages=(system, hi)),
        Completion(texts=("Hello",)),
    )


def test_a_stream_ends_where_it_says_so() -> None:
    events = [said("Hel", 0, is_end=False), said("lo", 3, is_end=True, finish_reason="normal")]
    whole, cut = ask(events), ask(events[:1], aborted="client")
    assert (whole.complete, whole.inference.stream, whole.inference.usage) == (True, True, REPORTED)
    assert whole.completion() == Completion(texts=("Hello",))
    assert (cut.complete, cut.inference.usage.source) == (False, "partial")


def test_a_call_of_a_function_is_counted() -> None:
    extraction = ask(said("", 3, function_call={"name": "f", "arguments": "{}"}))
    assert extraction.inference.tool_calls == 1
    assert extraction.completion() == Completion(texts=("",), tool_calls=(ToolCall(name="f", arguments="{}"),))


def test_an_error_in_a_200_is_one() -> None:
    failed = ask({"error_code": 110, "error_msg": "Access token invalid"})
    assert (failed.inference.error_type, failed.countable) == ("110", False)
