"""DeepInfra's own API by the model's name: every kind of model, one status."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Prompt, Usage
from support.exchanges import exchange

PATH = "/v1/inference/maker/model"
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def status(read: int | None, made: int | None, **fields: Any) -> dict[str, Any]:
    said = {"status": "succeeded", "runtime_ms": 250, "cost": 0.5, "tokens_input": read, "tokens_generated": made}
    return {"request_id": "r", "inference_status": {**said, **fields}}


def call(reply: Any, request: Any = None, **fields: Any) -> Extraction:
    return extract(exchange(PATH, request or {"input": "Hi"}, reply, **fields))


def test_a_text_is_read() -> None:
    reply = {**status(7, 3), "results": [{"generated_text": "Hello"}], "num_tokens": 3, "num_input_tokens": 7}
    extraction = call(reply)
    inference = extraction.inference
    assert (extraction.api, inference.provider_name) == ("deepinfra.inference", "deepinfra")
    assert (inference.operation_name, inference.request_model) == ("text_completion", "maker/model")
    assert (inference.response_id, inference.usage) == ("r", REPORTED)
    assert inference.details == {"provider_cost": 0.5, "server_duration": 0.25}
    assert (extraction.prompt(), extraction.completion()) == (Prompt(texts=("Hi",)), Completion(texts=("Hello",)))


def test_a_stream_says_its_counts_beside_the_details_of_the_last_chunk() -> None:
    first = {"token": {"text": "Hel", "special": False}, "generated_text": None, "details": None}
    counts = {"num_input_tokens": 7, "num_output_tokens": 3, "estimated_cost": 0.5}
    ends = {"generated_text": "Hello", "details": {"finish_reason": "stop", "generated_tokens": 3}}
    extraction = call([first, {"token": {"text": "lo", "special": False}, **ends, **counts}])
    inference = extraction.inference
    assert (extraction.complete, inference.stream, inference.usage) == (True, True, REPORTED)
    assert (inference.finish_reasons, inference.details) == (("stop",), {"provider_cost": 0.5})
    assert call([first], aborted="client").inference.usage == Usage()


@pytest.mark.parametrize(
    ("made", "operation"),
    [
        ({"embeddings": [[0.1]], "input_tokens": 7}, "embeddings"),
        ({"scores": [0.5], "input_tokens": 7}, "rerank"),
    ],
)
def test_what_makes_no_text_has_an_input_alone(made: dict[str, Any], operation: str) -> None:
    inference = call({**status(7, 0), **made}, {"inputs": ["Hi"]}).inference
    assert (inference.operation_name, inference.usage) == (operation, Usage(input_tokens=7, source="reported"))


def test_a_picture_says_no_tokens_and_is_no_answer() -> None:
    extraction = call({**status(None, None), "images": ["aGk="]}, {"prompt": "a cat"})
    assert (extraction.inference.operation_name, extraction.inference.usage) == ("image_generation", Usage())
    assert (extraction.prompt(), extraction.completion()) == (None, None)


def test_a_failure_in_the_status_is_an_error() -> None:
    assert call(status(None, None, status="failed")).inference.error_type == "failed"
