"""Google's APIs: generateContent, embeddings, interactions and batches."""

from __future__ import annotations

from typing import Any

from llmtoken.extract import extract
from llmtoken.inference import Completion, Image, Message, Prompt, Tool, ToolCall, Usage
from support.exchanges import exchange, written

GENERATE = "/v1beta/models/gemini-x:generateContent"
STREAM = "/v1beta/models/gemini-x:streamGenerateContent"
ASK = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
USAGE = {
    "promptTokenCount": 10,
    "cachedContentTokenCount": 6,
    "toolUsePromptTokenCount": 5,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 4,
    "totalTokenCount": 22,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}, {"modality": "AUDIO", "tokenCount": 2}],
}
READ = Usage(
    input_tokens=15,
    output_tokens=7,
    total_tokens=22,
    cache_read_input_tokens=6,
    reasoning_output_tokens=4,
    input_audio_tokens=2,
    source="reported",
)


def chunk(*parts: Any, finish: Any = None, usage: Any = None, **fields: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x-001", **fields}


def test_tool_use_is_input_and_thoughts_are_output() -> None:
    extraction = extract(exchange(GENERATE, ASK, chunk({"text": "Hello"}, finish="STOP", usage=USAGE, responseId="r")))
    inference = extraction.inference
    assert inference.operation_name == "generate_content"
    assert (inference.request_model, inference.response_model) == ("gemini-x", "gemini-x-001")
    assert inference.response_id == "r"
    assert inference.finish_reasons == ("STOP",)
    assert inference.usage == READ


def test_a_model_on_vertex_is_named_in_the_path_as_well() -> None:
    path = "/v1/projects/p/locations/global/publishers/google/models/gemini-x:generateContent"
    inference = extract(exchange(path, ASK, chunk())).inference
    assert (inference.request_model, inference.provider_name) == ("gemini-x", "gcp.vertex_ai")


def test_a_stream_may_be_sse_or_a_json_array() -> None:
    chunks = [
        chunk({"text": "Hel"}, usage={"promptTokenCount": 10}),
        chunk({"text": "lo"}, finish="STOP", usage=USAGE),
    ]
    array = "[" + ",\n".join(map(written, chunks)) + "]"
    for body in (chunks, array):
        extraction = extract(exchange(STREAM, ASK, body))
        assert extraction.complete
        assert extraction.inference.stream
        assert extraction.inference.usage == READ
        assert extraction.completion() == Completion(texts=("Hello",))


def test_a_field_that_the_last_chunk_leaves_out_is_kept() -> None:
    last = {name: USAGE[name] for name in ("promptTokenCount", "totalTokenCount")}
    chunks = [chunk({"text": "Hello"}, usage=USAGE), chunk(finish="STOP", usage=last)]
    assert extract(exchange(STREAM, ASK, chunks)).inference.usage == READ


def test_a_last_usage_whose_counts_make_up_its_total_says_everything() -> None:
    first = {"promptTokenCount": 9, "candidatesTokenCount": 21, "totalTokenCount": 30}
    last = {"promptTokenCount": 80, "thoughtsTokenCount": 70, "totalTokenCount": 150}
    chunks = [chunk({"text": "Hello"}, usage=first), chunk(finish="STOP", usage=last)]
    usage = extract(exchange(STREAM, ASK, chunks)).inference.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (80, 70, 150)


def test_a_last_usage_without_an_output_leaves_the_output_that_was_said() -> None:
    first = {"promptTokenCount": 9, "candidatesTokenCount": 21, "totalTokenCount": 30}
    last = {"promptTokenCount": 9, "totalTokenCount": 9}
    chunks = [chunk({"text": "Hello"}, usage=first), chunk(finish="STOP", usage=last)]
    assert extract(exchange(STREAM, ASK, chunks)).inference.usage.output_tokens == 21


def test_the_stream_of_a_blocked_prompt_is_whole() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "gemini-x"}
    assert extract(exchange(STREAM, ASK, [blocked])).complete


def test_a_cut_stream_has_the_output_that_google_had_counted() -> None:
    extraction = extract(exchange(STREAM, ASK, [chunk({"text": "Hel"}, usage=USAGE)], aborted="client"))
    assert not extraction.complete
    assert (extraction.inference.usage.output_tokens, extraction.inference.usage.source) == (7, "partial")


def test_the_parts_of_a_streamed_call_are_one_call() -> None:
    chunks = [
        chunk({"functionCall": {"name": "f", "willContinue": True}}),
        chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.x", "stringValue": "1"}], "willContinue": True}}),
        chunk({"functionCall": {}}),
        chunk({"functionCall": {"name": "g", "args": {}}}, finish="STOP", usage=USAGE),
    ]
    extraction = extract(exchange(STREAM, ASK, chunks))
    assert extraction.inference.tool_calls == 2
    assert [call.name for call in extraction.completion().tool_calls] == ["f", "g"]


def test_a_number_in_the_place_of_a_finish_reason_is_kept() -> None:
    assert extract(exchange(GENERATE, ASK, chunk(finish=1))).inference.finish_reasons == ("1",)


def test_an_error_inside_an_array_is_an_error() -> None:
    reply = '[{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]'
    assert extract(exchange(STREAM, ASK, reply, status=429)).inference.error_type == "RESOURCE_EXHAUSTED"


def test_the_prompt_has_system_contents_tools_images_and_schema() -> None:
    request = {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "See"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"y": 2}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "object"}}]}, {"googleSearch": {}}],
        "generationConfig": {"responseSchema": {"type": "object"}},
    }
    assert extract(exchange(GENERATE, request, chunk())).prompt() == Prompt(
        messages=(
            Message(role="system", text="Be brief."),
            Message(role="user", text="See", images=(Image(source="AAAA"),)),
            Message(role="model", tool_calls=(ToolCall(name="f", arguments='{"x": 1}'),)),
            Message(role="user", text='{"y": 2}'),
        ),
        tools=(Tool(name="f", parameters={"type": "object"}),),
        response_schema={"type": "object"},
    )


def test_visible_thoughts_are_reasoning() -> None:
    reply = chunk({"text": "Hm.", "thought": True}, {"text": "Yes"}, finish="STOP")
    assert extract(exchange(GENERATE, ASK, reply)).completion() == Completion(texts=("Yes",), reasoning="Hm.")


def test_embeddings_that_say_nothing_are_left_to_be_counted() -> None:
    request = {"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]}
    extraction = extract(exchange("/v1beta/models/e:batchEmbedContents", request, {"embeddings": []}))
    assert (extraction.api, extraction.inference.operation_name) == ("gemini.batchEmbedContents", "embeddings")
    assert extraction.countable
    assert extraction.prompt() == Prompt(texts=("a", "b"))


def test_predicted_embeddings_say_their_tokens_one_by_one() -> None:
    predictions = [{"embeddings": {"statistics": {"token_count": count}}} for count in (3, 4)]
    extraction = extract(exchange("/v1/publishers/google/models/e:predict", {}, {"predictions": predictions}))
    assert extraction.inference.usage == Usage(input_tokens=7, source="reported")


def test_an_interaction_streams_its_growing_usage() -> None:
    growing = {"total_input_tokens": 7, "total_output_tokens": 1, "total_thought_tokens": 2}
    events = [
        {"event_type": "interaction.created", "interaction": {"id": "i", "model": "g", "object": "interaction"}},
        {"event_type": "step.delta", "delta": {"type": "text", "text": "Hel"}, "metadata": {"usage": growing}},
    ]
    extraction = extract(exchange("/v1beta/interactions", {"model": "g", "input": "Hi"}, events, aborted="client"))
    assert (extraction.inference.response_id, extraction.inference.usage.output_tokens) == ("i", 3)
    assert extraction.inference.usage.source == "partial"
    assert extraction.completion().texts == ("Hel",)


def test_an_interaction_in_the_background_is_not_counted_before_it_is_fetched() -> None:
    begun = {"id": "i", "object": "interaction", "status": "in_progress"}
    assert not extract(exchange("/v1beta/interactions", {"input": "Hi"}, begun)).countable
    done = {**begun, "status": "completed", "usage": {"total_input_tokens": 7, "total_output_tokens": 2}}
    fetched = extract(exchange("/v1beta/interactions/i", None, done, method="GET"))
    assert (fetched.inference.response_id, fetched.inference.usage.total_tokens) == ("i", 9)


def test_a_batch_that_is_done_adds_its_answers_up_under_its_name() -> None:
    answers = {
        "inlinedResponses": {"inlinedResponses": [{"response": {"usageMetadata": USAGE, "modelVersion": "g"}}] * 2}
    }
    batch = {"name": "batches/b", "done": True, "response": answers}
    extraction = extract(exchange("/v1beta/batches/b", None, batch, method="GET"))
    assert (extraction.inference.response_id, extraction.inference.response_model) == ("batches/b", "g")
    assert (extraction.inference.usage.input_tokens, extraction.inference.usage.output_tokens) == (30, 14)


def test_names_with_underscores_are_read_as_well() -> None:
    """As Google's own libraries write replies out."""
    usage = {
        "prompt_token_count": 10,
        "cached_content_token_count": 6,
        "candidates_token_count": 3,
        "thoughts_token_count": 4,
        "total_token_count": 17,
        "prompt_tokens_details": [{"modality": "AUDIO", "token_count": 2}, {"modality": "IMAGE", "token_count": 8}],
    }
    reply = {
        "candidates": [
            {"content": {"parts": [{"function_call": {"name": "f", "args": {"a_b": 1}}}]}, "finish_reason": "STOP"}
        ],
        "usage_metadata": usage,
        "model_version": "gemini-x-001",
        "response_id": "r",
    }
    for path, body in ((GENERATE, reply), (STREAM, [reply])):
        inference = extract(exchange(path, ASK, body)).inference
        assert inference.usage == Usage(
            input_tokens=10,
            output_tokens=7,
            total_tokens=17,
            cache_read_input_tokens=6,
            reasoning_output_tokens=4,
            input_audio_tokens=2,
            source="reported",
        )
        assert (inference.response_model, inference.response_id) == ("gemini-x-001", "r")
        assert (inference.finish_reasons, inference.tool_calls) == (("STOP",), 1)
        assert inference.details == {"input_image_tokens": 8}


def test_an_answer_that_code_assist_wrapped_is_read() -> None:
    wrapped = {"response": {"candidates": [{"finishReason": "STOP"}], "usageMetadata": USAGE}}
    for path, body in (("/v1internal:generateContent", wrapped), ("/v1internal:streamGenerateContent", [wrapped])):
        inference = extract(exchange(path, {"model": "gemini-x", "request": ASK}, body)).inference
        assert (inference.request_model, inference.usage) == ("gemini-x", READ)


def test_a_palm_prediction_has_its_usage_in_the_metadata() -> None:
    metadata = {"tokenMetadata": {"inputTokenCount": {"totalTokens": 5}, "outputTokenCount": {"totalTokens": 7}}}
    read = extract(exchange("/v1/publishers/google/models/m:predict", {}, {"predictions": [], "metadata": metadata}))
    assert read.inference.usage == Usage(input_tokens=5, output_tokens=7, total_tokens=12, source="reported")


def test_imagens_pictures_are_predicted_and_say_no_tokens() -> None:
    picture = {"mimeType": "image/png", "bytesBase64Encoded": "aGk="}
    asked = {"instances": [{"prompt": "a cat"}]}
    extraction = extract(exchange("/v1beta/models/i:predict", asked, {"predictions": [picture, picture]}))
    inference = extraction.inference
    assert (inference.operation_name, inference.details, inference.usage) == (
        "image_generation",
        {"output_images": 2},
        Usage(),
    )
    assert extraction.prompt() is None
