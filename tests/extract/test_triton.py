"""Triton's and KServe's own API: texts and tensors, counts where they were asked for."""

from __future__ import annotations

from typing import Any

from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Prompt, Usage
from support.exchanges import exchange

GENERATE = "/v2/models/llama/generate"
STREAM = "/v2/models/llama/versions/2/generate_stream"
INFER = "/v2/models/llama/infer"
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def call(path: str, reply: Any, request: Any = None, **fields: Any) -> Extraction:
    return extract(exchange(path, request or {"text_input": "Hi"}, reply, **fields))


def test_a_text_without_counts_is_left_to_be_counted() -> None:
    extraction = call(GENERATE, {"model_name": "llama", "model_version": "1", "text_output": "Hello"})
    inference = extraction.inference
    assert (extraction.api, inference.operation_name) == ("triton.generate", "text_completion")
    assert (inference.request_model, inference.response_model) == ("llama", "llama")
    assert (inference.provider_name, inference.usage, extraction.countable) == ("triton", Usage(), True)
    assert (extraction.prompt(), extraction.completion()) == (Prompt(texts=("Hi",)), Completion(texts=("Hello",)))


def test_a_server_of_ones_own_is_self_hosted() -> None:
    reply = {"model_name": "llama", "text_output": "Hello"}
    assert call(GENERATE, reply, upstream="10.0.0.2:8000").inference.provider_name == "self_hosted"


def test_counts_that_were_asked_for_are_taken() -> None:
    reply = {"model_name": "llama", "text_output": "Hello", "num_input_tokens": 7, "num_output_tokens": 3}
    inference = call(GENERATE, {**reply, "finish_reason": "stop"}).inference
    assert (inference.usage, inference.finish_reasons) == (REPORTED, ("stop",))


def test_the_counts_of_several_samples_are_a_list() -> None:
    reply = {"model_name": "llama", "text_output": ["A", "B"], "num_input_tokens": 7, "num_output_tokens": [2, 1]}
    extraction = call(GENERATE, {**reply, "finish_reason": ["stop", "length"]})
    assert (extraction.inference.usage, extraction.inference.finish_reasons) == (REPORTED, ("stop", "length"))


def test_each_piece_counts_its_own_output() -> None:
    def piece(text: str, made: int, why: str = "None") -> dict[str, Any]:
        counts = {"num_input_tokens": 7, "num_output_tokens": made}
        return {"model_name": "llama", "text_output": text, "finish_reason": why, **counts}

    whole = call(STREAM, [piece("Hel", 2), piece("lo", 1, "stop")])
    cut = call(STREAM, [piece("Hel", 2)], aborted="client")
    assert (whole.complete, whole.inference.stream, whole.inference.usage) == (True, True, REPORTED)
    assert whole.completion() == Completion(texts=("Hello",))
    assert (cut.complete, cut.inference.usage.output_tokens, cut.inference.usage.source) == (False, 2, "partial")


def test_a_stream_has_no_end_mark() -> None:
    pieces = [{"model_name": "llama", "text_output": "Hel"}, {"model_name": "llama", "text_output": "lo"}]
    assert call(STREAM, pieces).complete
    assert not call(STREAM, pieces, aborted="upstream").complete


def test_an_error_in_a_stream_is_one() -> None:
    extraction = call(STREAM, [{"model_name": "llama", "text_output": "H"}, {"error": "out of memory"}])
    assert (extraction.inference.error_type, extraction.complete) == ("error", False)


def test_texts_may_be_tensors() -> None:
    def tensor(name: str, value: str) -> dict[str, Any]:
        return {"name": name, "datatype": "BYTES", "shape": [1], "data": [value]}

    reply = {"model_name": "llama", "outputs": [tensor("text_output", "Hello")]}
    extraction = call(INFER, reply, {"inputs": [tensor("text_input", "Hi")]})
    assert (extraction.api, extraction.inference.operation_name) == ("triton.infer", "text_completion")
    assert (extraction.prompt(), extraction.completion()) == (Prompt(texts=("Hi",)), Completion(texts=("Hello",)))


def test_a_model_of_something_else_is_no_completion_of_no_tokens() -> None:
    tensor = {"name": "scores", "datatype": "FP32", "shape": [1], "data": [0.5]}
    extraction = call(INFER, {"model_name": "cats", "outputs": [tensor]}, {"inputs": [{**tensor, "name": "pixels"}]})
    assert extraction.inference.operation_name == "infer"
    assert (extraction.prompt(), extraction.completion()) == (None, None)


def test_asking_what_a_model_is_uses_none() -> None:
    extraction = extract(exchange("/v2/models/llama", None, {"name": "llama"}, method="GET"))
    assert (extraction.inference.operation_name, extraction.countable) == ("manage", False)
