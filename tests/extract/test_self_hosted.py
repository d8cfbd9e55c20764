"""What self-hosted servers speak beside OpenAI's APIs: Ollama, TGI, TEI, llama.cpp, KoboldCpp, SGLang, LM Studio."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Completion, Image, Message, Prompt, ToolCall, Usage
from support.exchanges import exchange, ndjson

LINES = {"content-type": "application/x-ndjson"}
DONE = {"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 3}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def test_the_last_line_of_ollama_has_the_counts() -> None:
    call = {"function": {"name": "f", "arguments": {"x": 1}}}
    lines = [
        {"model": "m", "message": {"content": "Hel", "thinking": "Hm."}, "done": False},
        {"model": "m", "message": {"content": "lo", "tool_calls": [call]}, "done": False},
        {**DONE, "message": {"content": ""}},
    ]
    extraction = extract(exchange("/api/chat", {"model": "m"}, ndjson(lines), response_headers=LINES))
    assert (extraction.complete, extraction.inference.stream, extraction.inference.tool_calls) == (True, True, 1)
    assert (extraction.inference.usage, extraction.inference.finish_reasons) == (REPORTED, ("stop",))
    expected = (ToolCall(name="f", arguments='{"x": 1}'),)
    assert extraction.completion() == Completion(texts=("Hello",), reasoning="Hm.", tool_calls=expected)


def test_a_prompt_from_ollamas_cache_is_unknown() -> None:
    reply = {"model": "m", "message": {"content": "Hello"}, "done": True, "eval_count": 3}
    usage = extract(exchange("/api/chat", {"model": "m"}, reply)).inference.usage
    assert usage == Usage(output_tokens=3, source="reported")


def test_an_error_line_of_ollama_is_an_error() -> None:
    lines = ndjson([{"model": "m", "message": {"content": "Hel"}, "done": False}, {"error": "out of memory"}])
    extraction = extract(exchange("/api/chat", {"model": "m"}, lines, response_headers=LINES))
    assert (extraction.inference.error_type, extraction.complete) == ("error", False)


def test_ollamas_prompts_have_images_beside_the_text() -> None:
    request = {"messages": [{"role": "user", "content": "See", "images": ["AAAA"]}], "format": {"type": "object"}}
    message = Message(role="user", text="See", images=(Image(source="AAAA"),))
    prompt = extract(exchange("/api/chat", request, {})).prompt()
    assert prompt == Prompt(messages=(message,), response_schema={"type": "object"})


def test_ollama_generates_from_system_and_prompt() -> None:
    request = {"model": "m", "system": "Be brief.", "prompt": "Hi"}
    extraction = extract(exchange("/api/generate", request, {**DONE, "response": "Hello"}))
    assert extraction.inference.operation_name == "text_completion"
    assert extraction.prompt() == Prompt(texts=("Be brief.", "Hi"))
    assert extraction.completion().texts == ("Hello",)


def test_ollamas_older_embeddings_say_nothing() -> None:
    extraction = extract(exchange("/api/embeddings", {"model": "m", "prompt": "Hi"}, {"embedding": [0.1]}))
    assert (extraction.api, extraction.inference.usage) == ("ollama.embed", Usage())
    assert extraction.prompt() == Prompt(texts=("Hi",))


def test_tgi_says_its_tokens_in_the_details_of_the_last_chunk() -> None:
    events = [
        {"index": 1, "token": {"text": "Hel", "special": False}, "generated_text": None},
        {"index": 2, "token": {"text": "lo", "special": False}, "generated_text": None},
        {
            "index": 3,
            "token": {"text": "</s>", "special": True},
            "generated_text": "Hello",
            "details": {"finish_reason": "eos_token", "generated_tokens": 3},
        },
    ]
    extraction = extract(exchange("/generate_stream", {"inputs": "Hi"}, events))
    assert extraction.complete
    assert extraction.inference.usage == Usage(output_tokens=3, source="reported")
    assert extraction.completion().texts == ("Hello",)
    cut = extract(exchange("/generate_stream", {"inputs": "Hi"}, events[:1], aborted="client"))
    assert cut.completion().texts == ("Hel",)


@pytest.mark.parametrize(
    ("path", "request_", "reply"),
    [
        ("/embed", {"inputs": ["Hi"]}, "[[0.1, 0.2]]"),
        ("/rerank", {"query": "q", "texts": ["a"]}, '[{"index": 0, "score": 0.9}]'),
        ("/predict", {"inputs": "Hi"}, '[{"label": "x", "score": 0.9}]'),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, "[0.5]"),
    ],
)
def test_tei_says_its_tokens_in_a_header(path: str, request_: dict[str, Any], reply: str) -> None:
    extraction = extract(exchange(path, request_, reply, response_headers={"x-compute-tokens": "7"}))
    assert extraction.inference.usage == Usage(input_tokens=7, source="reported")
    assert (extraction.complete, extraction.inference.stream) == (True, False)


def test_koboldcpp_counts_beside_its_text() -> None:
    result = {"text": "Hello", "finish_reason": "stop", "prompt_tokens": 7, "completion_tokens": 3}
    extraction = extract(exchange("/api/v1/generate", {"prompt": "Hi", "memory": "Be brief. "}, {"results": [result]}))
    inference = extraction.inference
    assert (extraction.api, inference.provider_name) == ("koboldcpp.generate", "koboldcpp")
    assert (inference.usage, inference.finish_reasons) == (REPORTED, ("stop",))
    assert (extraction.prompt(), extraction.completion()) == (
        Prompt(texts=("Be brief. ", "Hi")),
        Completion(texts=("Hello",)),
    )


def test_koboldcpps_stream_is_bare_pieces() -> None:
    pieces = [{"token": "Hel", "finish_reason": None}, {"token": "lo", "finish_reason": "stop"}]
    path = "/api/extra/generate/stream"
    whole = extract(exchange(path, {"prompt": "Hi"}, pieces))
    cut = extract(exchange(path, {"prompt": "Hi"}, pieces[:1], aborted="client"))
    assert (whole.api, whole.complete, whole.inference.finish_reasons) == ("koboldcpp.generate", True, ("stop",))
    assert (whole.inference.usage, whole.countable, whole.completion()) == (Usage(), True, Completion(texts=("Hello",)))
    assert (cut.complete, cut.completion()) == (False, Completion(texts=("Hel",)))


def test_a_server_of_ones_own_on_tgis_path_answers_no_text_of_no_tokens() -> None:
    extraction = extract(exchange("/generate", {"prompt": "Hi"}, {"answer": "Hello"}))
    assert (extraction.prompt(), extraction.completion()) == (None, None)


def test_lorax_counts_the_prompt_in_the_details() -> None:
    details = {"finish_reason": "stop", "prompt_tokens": 7, "generated_tokens": 3}
    for path in ("/generate", "/t/deployments/v2/llms/d/generate"):
        reply = {"generated_text": "Hello", "details": details}
        assert extract(exchange(path, {"inputs": "Hi"}, reply)).inference.usage == REPORTED
    assert extract(exchange(path, {"inputs": "Hi"}, reply)).inference.request_model == "d"


def test_tgi_says_its_tokens_in_headers_without_details() -> None:
    headers = {"x-prompt-tokens": "7", "x-generated-tokens": "3"}
    for reply in ({"generated_text": "Hello"}, '[{"generated_text": "Hello"}]'):
        extraction = extract(exchange("/models/a/b", {"inputs": "Hi"}, reply, response_headers=headers))
        assert (extraction.api, extraction.inference.request_model) == ("hugging_face.generate", "a/b")
        assert extraction.inference.usage == REPORTED
        assert not extraction.inference.stream


def test_the_last_chunk_of_llama_cpp_has_the_counts() -> None:
    end = {"content": "", "stop": True, "stop_type": "limit", "tokens_evaluated": 7, "tokens_predicted": 3}
    extraction = extract(exchange("/completion", {"prompt": "Hi"}, [{"content": "Hello", "stop": False}, end]))
    assert (extraction.api, extraction.complete) == ("llama_cpp.completion", True)
    assert (extraction.inference.usage, extraction.inference.finish_reasons) == (REPORTED, ("limit",))
    assert extraction.completion().texts == ("Hello",)


def sglang(text: str, made: int, finish: str | None = None, name: str = "g") -> dict[str, object]:
    reason = None if finish is None else {"type": finish}
    meta = {"id": name, "prompt_tokens": 7, "completion_tokens": made, "cached_tokens": 4, "finish_reason": reason}
    return {"text": text, "meta_info": meta}


CACHED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, cache_read_input_tokens=4, source="reported")


def test_sglang_repeats_text_and_counts_so_far() -> None:
    events = [sglang("Hel", 1), sglang("Hello", 3, "stop"), "[DONE]"]
    extraction = extract(exchange("/generate", {"text": "Hi"}, events))
    inference = extraction.inference
    assert (extraction.api, extraction.complete, inference.provider_name) == ("sglang.generate", True, "sglang")
    assert (inference.finish_reasons, inference.usage) == (("stop",), CACHED)
    assert extraction.completion() == Completion(texts=("Hello",))
    assert extraction.prompt() == Prompt(texts=("Hi",))


def test_several_samples_of_sglang_have_one_prompt() -> None:
    reply = json.dumps([sglang("a", 1, "stop", "g0"), sglang("b", 2, "length", "g1")])
    extraction = extract(exchange("/generate", {"text": "Hi"}, reply))
    assert (extraction.complete, extraction.inference.stream) == (True, False)
    assert (extraction.inference.finish_reasons, extraction.inference.usage) == (("stop", "length"), CACHED)
    assert extraction.completion() == Completion(texts=("a", "b"))


def test_a_cut_stream_of_sglang_has_what_had_been_counted() -> None:
    extraction = extract(exchange("/generate", {"text": "Hi"}, [sglang("Hel", 1)], aborted="client"))
    assert (extraction.complete, extraction.inference.usage.output_tokens) == (False, 1)
    assert extraction.inference.usage.source == "partial"


STUDIO = {
    "model_instance_id": "m",
    "output": [{"type": "reasoning", "content": "Hm."}, {"type": "message", "content": "Hello"}],
    "stats": {"input_tokens": 7, "total_output_tokens": 3, "reasoning_output_tokens": 1},
    "response_id": "r",
}


def test_lm_studio_says_its_tokens_in_its_stats() -> None:
    events = [
        {"type": "chat.start", "model_instance_id": "m"},
        {"type": "reasoning.delta", "content": "Hm."},
        {"type": "message.delta", "content": "Hello"},
        {"type": "chat.end", "result": STUDIO},
    ]
    for body in (STUDIO, events):
        extraction = extract(exchange("/api/v1/chat", {"model": "m", "input": "Hi"}, body))
        inference = extraction.inference
        assert (extraction.api, extraction.complete) == ("lm_studio.chat", True)
        assert (inference.response_id, inference.response_model) == ("r", "m")
        usage = Usage(input_tokens=7, output_tokens=3, total_tokens=10, reasoning_output_tokens=1, source="reported")
        assert inference.usage == usage
        assert extraction.completion() == Completion(texts=("Hello",), reasoning="Hm.")
    assert extraction.prompt() == Prompt(texts=("Hi",))


def test_a_cut_stream_of_lm_studio_is_left_to_be_counted() -> None:
    events = [{"type": "chat.start", "model_instance_id": "m"}, {"type": "message.delta", "content": "Hel"}]
    extraction = extract(exchange("/api/v1/chat", {"input": "Hi"}, events, aborted="client"))
    assert (extraction.complete, extraction.inference.usage) == (False, Usage())
    assert extraction.completion() == Completion(texts=("Hel",))
