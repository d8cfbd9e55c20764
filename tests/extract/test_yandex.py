"""Yandex Cloud's foundation models: counts that are texts, lines that each have everything so far."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Message, Prompt, ToolCall, Usage
from support.exchanges import exchange, ndjson

PATH = "/foundationModels/v1/completion"
ASK = {"modelUri": "gpt://folder/yandexgpt/latest", "messages": [{"role": "user", "text": "Hi"}]}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def answer(text: str = "Hello", made: int = 3, status: str = "FINAL", **message: Any) -> dict[str, Any]:
    said = {"message": {"role": "assistant", "text": text, **message}, "status": f"ALTERNATIVE_STATUS_{status}"}
    usage = {"inputTextTokens": "7", "completionTokens": str(made), "totalTokens": str(7 + made)}
    return {"alternatives": [said], "usage": usage, "modelVersion": "1"}


def ask(reply: Any, path: str = PATH, **fields: Any) -> Extraction:
    return extract(exchange(path, ASK, ndjson(reply) if isinstance(reply, list) else reply, **fields))


@pytest.mark.parametrize("reply", [{"result": answer()}, answer()])
def test_an_answer_is_read(reply: dict[str, Any]) -> None:
    extraction = ask(reply)
    inference = extraction.inference
    assert (extraction.api, inference.provider_name, inference.operation_name) == (
        "yandex.completion",
        "yandex_cloud",
        "chat",
    )
    assert (inference.usage, inference.finish_reasons) == (REPORTED, ("ALTERNATIVE_STATUS_FINAL",))
    assert extraction.prompt() == Prompt(messages=(Message(role="user", text="Hi"),))
    assert extraction.completion() == Completion(texts=("Hello",))


def test_the_model_is_named_without_the_customers_folder() -> None:
    assert ask({}).inference.request_model == "yandexgpt/latest"


def test_reasoning_is_a_part_of_the_completion() -> None:
    usage = {"inputTextTokens": "7", "completionTokens": "3", "completionTokensDetails": {"reasoningTokens": "2"}}
    assert ask({"result": {"alternatives": [], "usage": usage}}).inference.usage.reasoning_output_tokens == 2


def test_the_lines_of_a_stream_are_not_added_up() -> None:
    lines = [{"result": answer("Hel", 1, "PARTIAL")}, {"result": answer("Hello", 3)}]
    whole, cut = ask(lines), ask(lines[:1], aborted="client", response_headers={"content-type": "application/x-ndjson"})
    assert (whole.complete, whole.inference.stream, whole.inference.usage) == (True, True, REPORTED)
    assert whole.completion() == Completion(texts=("Hello",))
    assert (cut.inference.usage.output_tokens, cut.inference.finish_reasons) == (1, ())


def test_calls_of_functions_are_counted() -> None:
    call = {"functionCall": {"name": "f", "arguments": {"a": 1}}}
    extraction = ask({"result": answer("", 3, "TOOL_CALLS", toolCallList={"toolCalls": [call]})})
    assert extraction.inference.tool_calls == 1
    assert extraction.completion() == Completion(texts=("",), tool_calls=(ToolCall(name="f", arguments='{"a": 1}'),))


def test_what_is_answered_later_is_not_estimated_when_it_is_asked_for() -> None:
    extraction = ask({"id": "o", "done": False}, path=f"{PATH}Async")
    assert (extraction.inference.response_id, extraction.countable) == ("o", False)


def test_an_operation_has_its_answer_inside() -> None:
    extraction = extract(exchange("/operations/o", None, {"id": "o", "done": True, "response": answer()}, method="GET"))
    assert (extraction.api, extraction.inference.response_id) == ("yandex.completion", "o")
    assert (extraction.inference.fetched, extraction.inference.usage) == (True, REPORTED)


def test_embeddings_count_their_input() -> None:
    request = {"modelUri": "emb://folder/text-search-doc/latest", "text": "Hi"}
    extraction = extract(
        exchange("/foundationModels/v1/textEmbedding", request, {"embedding": [0.1], "numTokens": "7"})
    )
    assert (extraction.inference.operation_name, extraction.inference.request_model) == (
        "embeddings",
        "text-search-doc/latest",
    )
    assert extraction.inference.usage == Usage(input_tokens=7, source="reported")
