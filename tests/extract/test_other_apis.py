"""The smaller APIs: images, audio, text completions of old, conversations, watsonx, and what is generic."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Completion, Prompt, Usage
from support.exchanges import exchange
from support.samples import CHAT

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def test_streamed_images_say_their_usage_at_the_end() -> None:
    events = [
        {"type": "image_generation.partial_image", "b64_json": "AA=="},
        {"type": "image_generation.completed", "b64_json": "AA==", "usage": USAGE},
    ]
    extraction = extract(exchange("/v1/images/generations", {"model": "i", "stream": True}, events))
    assert (extraction.inference.operation_name, extraction.complete) == ("image_generation", True)
    assert extraction.inference.usage == REPORTED


def test_images_billed_by_the_piece_say_no_tokens() -> None:
    extraction = extract(exchange("/v1/images/generations", {"prompt": "a cat"}, {"data": [{"url": "…"}]}))
    assert (extraction.inference.usage, extraction.countable) == (Usage(), False)


def test_a_picture_of_venice_is_no_text() -> None:
    extraction = extract(exchange("/api/v1/image/generate", {"prompt": "a cat"}, {"id": "i", "images": ["aGk="]}))
    assert (extraction.inference.operation_name, extraction.countable) == ("image_generation", False)


def test_audio_tokens_of_a_transcription_are_input() -> None:
    usage = {"type": "tokens", **USAGE, "input_token_details": {"text_tokens": 1, "audio_tokens": 6}}
    inference = extract(exchange("/v1/audio/transcriptions", {"model": "t"}, {"text": "Hi", "usage": usage})).inference
    assert (inference.operation_name, inference.usage.input_audio_tokens) == ("transcription", 6)


def test_seconds_are_no_tokens() -> None:
    reply = {"text": "Hi", "usage": {"type": "duration", "seconds": 12}}
    assert extract(exchange("/v1/audio/transcriptions", {"model": "whisper"}, reply)).inference.usage == Usage()


def test_streamed_transcriptions_say_their_usage_at_the_end() -> None:
    events = [{"type": "transcript.text.delta", "delta": "Hi"}, {"type": "transcript.text.done", "usage": USAGE}]
    assert extract(exchange("/v1/audio/transcriptions", {"model": "t"}, events)).inference.usage == REPORTED


def test_spoken_audio_is_no_unreadable_reply() -> None:
    extraction = extract(exchange("/v1/audio/speech", {"model": "t", "input": "Hi"}, "\x00\x01ID3"))
    assert (extraction.api, extraction.problems) == ("openai.audio.speech", ())


def test_anthropics_text_completions_are_left_to_be_counted() -> None:
    events = [
        {"type": "completion", "completion": "Hel", "stop_reason": None, "model": "c"},
        {"type": "ping"},
        {"type": "completion", "completion": "lo", "stop_reason": "stop_sequence", "model": "c"},
    ]
    extraction = extract(exchange("/v1/complete", {"model": "c", "prompt": "Hi"}, events))
    assert (extraction.api, extraction.complete, extraction.countable) == ("anthropic.complete", True, True)
    assert extraction.inference.finish_reasons == ("stop_sequence",)
    assert (extraction.prompt(), extraction.completion()) == (Prompt(texts=("Hi",)), Completion(texts=("Hello",)))


def test_a_conversation_streams_its_usage_at_the_end() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    events = [
        {"type": "conversation.response.started", "conversation_id": "c"},
        {"type": "message.output.delta", "content": "Hello", "model": "m"},
        {"type": "conversation.response.done", "usage": usage},
    ]
    extraction = extract(exchange("/v1/conversations", {"model": "m", "inputs": "Hi"}, events))
    assert (extraction.api, extraction.inference.response_id) == ("mistral.conversations", "c")
    assert (extraction.inference.response_model, extraction.inference.usage) == ("m", REPORTED)
    assert extraction.completion().texts == ("Hello",)


def test_watsonx_counts_grow_until_it_stops() -> None:
    def piece(said: str, made: int, why: str, read: int = 0) -> dict[str, Any]:
        result = {"generated_text": said, "generated_token_count": made, "input_token_count": read, "stop_reason": why}
        return {"model_id": "w", "results": [result]}

    events = [piece("", 0, "not_finished", 7), piece("Hel", 2, "not_finished"), piece("lo", 3, "eos_token")]
    extraction = extract(exchange("/ml/v1/text/generation_stream", {"model_id": "w", "input": "Hi"}, events))
    assert (extraction.api, extraction.inference.request_model) == ("watsonx.generation", "w")
    assert (extraction.inference.usage, extraction.inference.finish_reasons) == (REPORTED, ("eos_token",))
    assert extraction.completion().texts == ("Hello",)


def test_watsonx_counts_a_ranking_beside_its_results() -> None:
    request = {"model_id": "w", "query": "q", "inputs": [{"text": "a"}]}
    reply = {"model_id": "w", "results": [{"index": 0, "score": 1}], "input_token_count": 7}
    inference = extract(exchange("/ml/v1/text/rerank", request, reply)).inference
    assert (inference.operation_name, inference.usage) == ("rerank", Usage(input_tokens=7, source="reported"))


def test_a_forecast_by_watsonx_is_no_text_of_no_tokens() -> None:
    reply = {"model_id": "w", "results": [{"date": []}], "input_data_points": 512}
    assert not extract(exchange("/ml/v1/time_series/forecast", {"model_id": "w"}, reply)).countable


@pytest.mark.parametrize(
    ("path", "model"),
    [("/v2beta/stable-image/generate/core", "core"), ("/v1/generation/sdxl/text-to-image", "sdxl")],
)
def test_stabilitys_pictures_say_no_tokens(path: str, model: str) -> None:
    extraction = extract(exchange(path, {"prompt": "a cat"}, {"image": "aGk="}))
    assert (extraction.inference.operation_name, extraction.inference.request_model) == ("image_generation", model)
    assert (extraction.inference.usage, extraction.countable) == (Usage(), False)


def test_an_endpoint_of_sagemaker_stands_for_its_model() -> None:
    host, reply = "runtime.sagemaker.us-east-1.amazonaws.com", '[{"generated_text": "Hello"}]'
    extraction = extract(exchange("/endpoints/llama/invocations", {"inputs": "Hi"}, reply, host=host))
    inference = extraction.inference
    assert (extraction.api, inference.provider_name) == ("hugging_face.generate", "aws.sagemaker")
    assert inference.request_model == "llama"


def test_watsonx_chats_in_openais_words() -> None:
    request = {"model_id": "w", "messages": CHAT["messages"]}
    extraction = extract(exchange("/ml/v1/text/chat", request, {"choices": [], "model_id": "w"}))
    assert (extraction.api, extraction.inference.request_model) == ("openai.chat", "w")


@pytest.mark.parametrize("path", ["/v1/fim/completions", "/v1/agents/completions"])
def test_mistrals_other_completions_answer_as_chats(path: str) -> None:
    assert extract(exchange(path, {"model": "m"}, {"choices": []})).api == "openai.chat"


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/v1/messages/count_tokens", {"input_tokens": 2095}),
        ("/v1/responses/input_tokens", {"object": "response.input_tokens", "input_tokens": 11}),
        ("/v1beta/models/g:countTokens", {"totalTokens": 31}),
        ("/model/m/count-tokens", {"inputTokens": 15}),
        ("/tokenize", {"count": 5, "tokens": [1, 2, 3, 4, 5]}),
        ("/v1/moderations", {"id": "modr", "model": "m", "results": []}),
        ("/v1beta/cachedContents", {"name": "cachedContents/c", "usageMetadata": {"totalTokenCount": 4000}}),
        ("/v1beta/models/veo:predictLongRunning", {"name": "models/veo/operations/o"}),
        ("/guardrail/g/version/1/apply", {"usage": {"topicPolicyUnits": 1}, "action": "NONE"}),
        ("/async-invoke", {"invocationArn": "a"}),
        ("/v1/realtime/client_secrets", {"value": "ek", "session": {}}),
    ],
)
def test_counting_calls_use_no_tokens(path: str, reply: dict[str, Any]) -> None:
    extraction = extract(exchange(path, CHAT, reply))
    assert (extraction.inference.usage, extraction.countable, extraction.problems) == (Usage(), False, ())


@pytest.mark.parametrize(
    "reply",
    [
        {"answer": "Hello", "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}},
        {"output": {}, "usage": USAGE},
        {"result": {"answer": "Hello", "usage": USAGE}},
        {"answer": "Hello", "metadata": {"usage": USAGE}},
        {"usage": {"inputTokens": 7, "outputTokens": 3}},
        {"usage": {"promptTokens": 7, "completionTokens": 3}},
        {"answer": "Hello", "metrics": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}},
        [{"answer": "Hello"}, {"message_type": "usage_statistics", "prompt_tokens": 7, "completion_tokens": 3}],
        [{"delta": "Hel"}, {"delta": "lo", "usage": USAGE}, "[DONE]"],
    ],
)
def test_a_usage_in_known_words_is_read_from_an_unknown_api(reply: Any) -> None:
    extraction = extract(exchange("/someones/own/api", {"q": "Hi"}, reply))
    assert (extraction.api, extraction.problems) == ("generic", ("generic_usage",))
    assert extraction.inference.usage.input_tokens == 7
    assert extraction.inference.usage.output_tokens == 3
    assert extraction.inference.tool_calls is None


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/v1/chat"])
def test_a_usage_in_others_words_is_read_where_the_path_misleads(path: str) -> None:
    chunk = {"id": "c", "model": "m", "choices": [{"delta": {"content": "Hello"}}]}
    events = [chunk, {**chunk, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}, "[DONE]"]
    extraction = extract(exchange(path, {"model": "m"}, events))
    inference = extraction.inference
    assert (extraction.complete, inference.response_id, inference.response_model) == (True, "c", "m")
    assert inference.usage == Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")


def test_a_count_in_known_words_is_no_usage_where_nothing_is_generated() -> None:
    extraction = extract(exchange("/v1/messages/count_tokens", {}, {"usage": {"input_tokens": 7}}))
    assert (extraction.inference.usage, extraction.problems) == (Usage(), ())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/ft:gpt-4.1:team::x"),
        ("GET", "/v1beta/files/f:download"),
        ("POST", "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore"),
        ("GET", "/api/v1/tasks/t"),
        ("POST", "/api/v1/services/aigc/text2image/image-synthesis"),
        ("GET", "/ml/v1/foundation_model_specs"),
        ("GET", "/metrics"),
    ],
)
def test_what_uses_no_tokens_may_answer_with_a_text(method: str, path: str) -> None:
    extraction = extract(exchange(path, None, "as text", method=method))
    assert (extraction.inference.operation_name, extraction.countable, extraction.problems) == ("manage", False, ())


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1/ranking", "rerank"),
        ("/v1/retrieval/maker/model/reranking", "rerank"),
        ("/v1/contextualizedembeddings", "embeddings"),
    ],
)
def test_what_has_only_an_input_has_other_paths_elsewhere(path: str, operation: str) -> None:
    inference = extract(exchange(path, {"model": "m"}, {"usage": {"total_tokens": 7}})).inference
    assert (inference.operation_name, inference.usage.input_tokens, inference.usage.output_tokens) == (
        operation,
        7,
        None,
    )


@pytest.mark.parametrize("path", ["/api/v1/generation", "/api/v1/auth/key", "/v1/get_result"])
def test_accounts_and_results_made_before_use_no_tokens(path: str) -> None:
    extraction = extract(exchange(path, None, {"data": {"tokens_prompt": 7}}, method="GET"))
    assert (extraction.inference.operation_name, extraction.countable, extraction.problems) == ("manage", False, ())


def test_pictures_of_flux_are_named_by_the_path() -> None:
    inference = extract(exchange("/v1/flux-2-x", {"prompt": "a cat"}, {"id": "p", "polling_url": "u"})).inference
    assert (inference.operation_name, inference.request_model, inference.response_id) == (
        "image_generation",
        "flux-2-x",
        "p",
    )


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1/tts", "speech"),
        ("/v1/text-to-speech/voice/stream", "speech"),
        ("/v1/listen", "transcription"),
        ("/v1/stt", "transcription"),
    ],
)
def test_audio_has_other_paths_elsewhere(path: str, operation: str) -> None:
    assert extract(exchange(path, None, {})).inference.operation_name == operation


def test_the_total_of_a_judgement_is_its_input() -> None:
    said = {"data": [], "usage": {"total_tokens": 4}}
    assert extract(exchange("/v1/classify", {"input": ["Hi"]}, said)).inference.usage.input_tokens == 4


def test_a_judgement_has_a_usage_where_the_server_says_one() -> None:
    said = {"id": "i", "model": "m", "results": [], "usage": {"prompt_tokens": 4, "completion_tokens": 0}}
    for path in (
        "/v1/moderations",
        "/v1/chat/moderations",
        "/v1/classifications",
        "/classify",
        "/v1/score",
        "/pooling",
    ):
        assert extract(exchange(path, {}, said)).inference.usage.input_tokens == 4
        assert not extract(exchange(path, {}, {**said, "usage": None})).inference.usage.known


def test_a_streamed_image_is_counted_when_it_is_whole() -> None:
    partial = {"type": "image_generation.partial_image", "b64_json": ""}
    whole = {"type": "image_generation.completed", "b64_json": "", "usage": {"input_tokens": 5, "output_tokens": 9}}
    read = extract(exchange("/v1/images/generations", {}, [partial, partial, whole])).inference
    assert (read.details, read.usage.output_tokens) == ({"output_images": 1}, 9)
