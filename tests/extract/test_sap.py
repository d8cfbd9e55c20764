"""SAP AI Core's orchestration: OpenAI's chat in a wrapping, the model deep in the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Message, Prompt, Usage
from support.exchanges import exchange

NOW = "/v2/inference/deployments/d/v2/completion"
BEFORE = "/v2/inference/deployments/d/completion"
TEMPLATE = [{"role": "user", "content": "Hi"}]
PROMPTING = {"model": {"name": "gpt", "version": "latest"}, "prompt": {"template": TEMPLATE}}
ASK = {"config": {"modules": {"prompt_templating": PROMPTING}}}
CONFIGURATIONS = {"llm_module_config": {"model_name": "gpt"}, "templating_module_config": {"template": TEMPLATE}}
ASK_BEFORE = {"orchestration_config": {"module_configurations": CONFIGURATIONS}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
CHAT = {
    "id": "c",
    "model": "gpt-1",
    "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


@pytest.mark.parametrize(
    ("path", "request_", "reply"),
    [
        (NOW, ASK, {"request_id": "r", "intermediate_results": {"llm": CHAT}, "final_result": CHAT}),
        (NOW, {"config": {"modules": [{"prompt_templating": PROMPTING}, {}]}}, {"final_result": CHAT}),
        (BEFORE, ASK_BEFORE, {"request_id": "r", "module_results": {"llm": CHAT}, "orchestration_result": CHAT}),
    ],
)
def test_a_chat_is_in_its_wrapping(path: str, request_: dict[str, Any], reply: dict[str, Any]) -> None:
    extraction = extract(exchange(path, request_, reply))
    inference = extraction.inference
    assert (extraction.api, inference.provider_name, extraction.problems) == ("sap.orchestration", "sap_ai_core", ())
    assert (inference.request_model, inference.response_model, inference.response_id) == ("gpt", "gpt-1", "c")
    assert (inference.usage, inference.finish_reasons) == (REPORTED, ("stop",))
    assert extraction.prompt() == Prompt(messages=(Message(role="user", text="Hi"),))
    assert extraction.completion() == Completion(texts=("Hello",))


def streamed(*events: Any, **fields: Any) -> Extraction:
    return extract(exchange(NOW, ASK, list(events), **fields))


def test_a_stream_is_chunks_in_the_wrapping() -> None:
    chunks = [
        {"id": "", "choices": [{"delta": {"content": ""}}]},
        {"id": "c", "model": "gpt-1", "choices": [{"delta": {"content": "Hello"}}]},
        {"id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USAGE},
    ]
    extraction = streamed(*({"request_id": "r", "final_result": chunk} for chunk in chunks), "[DONE]")
    inference = extraction.inference
    assert (extraction.complete, inference.stream, inference.usage) == (True, True, REPORTED)
    assert (inference.response_id, inference.response_model, inference.finish_reasons) == ("c", "gpt-1", ("stop",))
    assert extraction.completion() == Completion(texts=("Hello",))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"request_id": "r", "code": 400, "message": "no", "location": "Input Filter"}, "http_400"),
        ({"error": {"code": 400, "message": "no"}, "final_result": {"choices": []}}, "400"),
    ],
)
def test_an_error_in_a_stream_is_one(event: dict[str, Any], expected: str) -> None:
    assert streamed(event).inference.error_type == expected


def test_embeddings_are_in_the_same_wrapping() -> None:
    request = {"config": {"modules": {"embeddings": {"model": {"name": "e"}}}}, "input": {"text": ["Hi"]}}
    result = {"object": "list", "data": [{"embedding": [0.1]}], "model": "e-1", "usage": {"total_tokens": 7}}
    extraction = extract(exchange("/v2/inference/deployments/d/v2/embeddings", request, {"final_result": result}))
    inference = extraction.inference
    assert (extraction.api, inference.operation_name, extraction.problems) == ("sap.embeddings", "embeddings", ())
    assert (inference.request_model, inference.response_model) == ("e", "e-1")
    assert inference.usage == Usage(input_tokens=7, total_tokens=7, source="reported")
    assert extraction.prompt() == Prompt(texts=("Hi",))


def test_llama_cpps_completion_is_still_its_own() -> None:
    reply = {"content": "Hello", "stop": True, "tokens_evaluated": 7, "tokens_predicted": 3}
    assert extract(exchange("/completion", {"prompt": "Hi"}, reply)).api == "llama_cpp.completion"
