"""What only some providers say, in every wire's own words; and the names that it can have."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import details, extract
from llmtoken.extract._chunks import thought_aloud
from llmtoken.inference import Timing
from support.exchanges import exchange
from support.needs import ROOT

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GENERATE, CONVERSE = "/v1beta/models/m:generateContent", "/model/m/converse"


def read(path: str, reply: Any) -> dict[str, Any]:
    return dict(extract(exchange(path, {}, reply)).inference.details)


def chat(**usage: Any) -> dict[str, Any]:
    return read(CHAT, {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, **usage}})


WHOLE = {
    "OpenAI's tier and predictions": (
        CHAT,
        {
            "choices": [],
            "service_tier": "default",
            "usage": {"completion_tokens_details": {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 4}},
        },
        {"service_tier": "default", "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 4},
    ),
    "tools that OpenAI ran": (
        RESPONSES,
        {
            "object": "response",
            "output": [
                {"type": "web_search_call"},
                {"type": "web_search_call"},
                {"type": "file_search_call"},
                {"type": "code_interpreter_call"},
                {"type": "image_generation_call"},
                {"type": "mcp_call"},
                {"type": "function_call", "name": "f"},
            ],
        },
        {
            "web_search_calls": 2,
            "file_search_calls": 1,
            "code_interpreter_calls": 1,
            "image_generation_calls": 1,
            "mcp_calls": 1,
        },
    ),
    "images of OpenAI": (
        "/v1/images/generations",
        {
            "data": [{"b64_json": ""}, {"b64_json": ""}],
            "usage": {
                "input_tokens": 50,
                "output_tokens": 272,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                "output_tokens_details": {"image_tokens": 272},
            },
        },
        {"output_images": 2, "input_text_tokens": 10, "input_image_tokens": 40, "output_image_tokens": 272},
    ),
    "seconds of OpenAI's transcriptions": (
        "/v1/audio/transcriptions",
        {"text": "hi", "usage": {"type": "duration", "seconds": 9}},
        {"audio_seconds": 9},
    ),
    "Anthropic's tier, place, caches and tools": (
        MESSAGES,
        {
            "type": "message",
            "content": [
                {"type": "server_tool_use", "name": "web_search"},
                {"type": "server_tool_use", "name": "code_execution"},
                {"type": "mcp_tool_use", "name": "anything"},
                {"type": "tool_use", "name": "web_fetch"},
            ],
            "usage": {
                "input_tokens": 7,
                "output_tokens": 3,
                "service_tier": "priority",
                "inference_geo": "us",
                "speed": "fast",
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 30},
                "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
            },
        },
        {
            "service_tier": "priority",
            "inference_geo": "us",
            "speed": "fast",
            "cache_write_5m_input_tokens": 0,
            "cache_write_1h_input_tokens": 30,
            "web_search_calls": 1,
            "web_fetch_calls": 0,
            "code_interpreter_calls": 1,
            "mcp_calls": 1,
        },
    ),
    "Google's modalities, tools and searches": (
        GENERATE,
        {
            "candidates": [
                {
                    "groundingMetadata": {"webSearchQueries": ["a", "b"]},
                    "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "u"}]},
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 300,
                "toolUsePromptTokenCount": 20,
                "trafficType": "ON_DEMAND",
                "serviceTier": "standard",
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 10},
                    {"modality": "IMAGE", "tokenCount": 258},
                    {"modality": "VIDEO", "tokenCount": 30},
                    {"modality": "DOCUMENT", "tokenCount": 2},
                    {"modality": "AUDIO", "tokenCount": 9},
                    {"modality": "SMELL", "tokenCount": 9},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
            },
        },
        {
            "tool_use_input_tokens": 20,
            "traffic_type": "ON_DEMAND",
            "service_tier": "standard",
            "input_text_tokens": 10,
            "input_image_tokens": 258,
            "input_video_tokens": 30,
            "input_document_tokens": 2,
            "cache_read_input_audio_tokens": 5,
            "output_image_tokens": 1290,
            "web_search_calls": 2,
            "web_fetch_calls": 1,
        },
    ),
    "Google's interactions": (
        "/v1beta/interactions",
        {"usage": {"input_tokens_by_modality": [{"modality": "image", "tokens": 258}], "total_tool_use_tokens": 4}},
        {"input_image_tokens": 258, "tool_use_input_tokens": 4},
    ),
    "Bedrock's tier, speed, caches and time": (
        CONVERSE,
        {
            "serviceTier": {"type": "flex"},
            "performanceConfig": {"latency": "optimized"},
            "metrics": {"latencyMs": 1500},
            "usage": {"cacheDetails": [{"ttl": "1h", "inputTokens": 40}, {"ttl": "5m", "inputTokens": 2}]},
        },
        {
            "service_tier": "flex",
            "speed": "optimized",
            "server_duration": 1.5,
            "cache_write_1h_input_tokens": 40,
            "cache_write_5m_input_tokens": 2,
        },
    ),
    "what Cohere bills": (
        "/v2/chat",
        {"usage": {"tokens": {"input_tokens": 507}, "billed_units": {"input_tokens": 12, "output_tokens": 7}}},
        {"billed_input_tokens": 12, "billed_output_tokens": 7},
    ),
    "what Cohere bills for a rerank": (
        "/v2/rerank",
        {"results": [], "meta": {"billed_units": {"search_units": 1}}},
        {"search_units": 1},
    ),
    "Ollama's times": (
        "/api/chat",
        {
            "done": True,
            "total_duration": 2_000_000_000,
            "load_duration": 500_000_000,
            "prompt_eval_duration": 250_000_000,
            "eval_duration": 1_000_000_000,
        },
        {"server_duration": 2.0, "server_load_time": 0.5, "server_input_time": 0.25, "server_output_time": 1.0},
    ),
    "llama.cpp's times": (
        CHAT,
        {"choices": [], "timings": {"prompt_ms": 250.0, "predicted_ms": 500.0}},
        {"server_input_time": 0.25, "server_output_time": 0.5},
    ),
    "Mistral's connectors and audio": (
        "/v1/conversations",
        {
            "object": "conversation.response",
            "outputs": [{"type": "tool.execution", "name": "web_search"}],
            "usage": {"connector_tokens": 50, "connectors": {"web_search": 2}, "prompt_audio_seconds": 7},
        },
        {"web_search_calls": 2, "tool_use_input_tokens": 50, "audio_seconds": 7},
    ),
    "Mistral's pages": (
        "/v1/ocr",
        {"pages": [], "model": "m", "usage_info": {"pages_processed": 3, "doc_size_bytes": 100}},
        {"pages": 3},
    ),
}


@pytest.mark.parametrize(("path", "reply", "expected"), WHOLE.values(), ids=WHOLE)
def test_details_are_read_in_the_words_of(path: str, reply: Any, expected: dict[str, Any]) -> None:
    assert read(path, reply) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"cost": 0.00014, "cost_details": {"upstream_inference_cost": 0.00012}},
            {"provider_cost": 0.00014, "upstream_cost": 0.00012},
        ),
        ({"cost_in_usd_ticks": 37_756_000}, {"provider_cost": pytest.approx(0.0037756)}),
        ({"cost": {"currency": "USD", "total_cost": 0.005}}, {"provider_cost": 0.005}),
        ({"num_sources_used": 3, "num_server_side_tools_used": 1}, {"sources_used": 3, "server_tool_calls": 1}),
        (
            {"server_side_tool_usage_details": {"web_search_calls": 1, "x_search_calls": 2}},
            {"web_search_calls": 1, "x_search_calls": 2},
        ),
        (
            {"num_search_queries": 2, "citation_tokens": 90, "search_context_size": "low"},
            {"web_search_calls": 2, "citation_tokens": 90, "search_context_size": "low"},
        ),
        ({"queue_time": 0.04, "total_time": 2.0}, {"server_queue_time": 0.04, "server_duration": 2.0}),
    ],
    ids=["OpenRouter", "xAI's cost", "Perplexity's cost", "xAI's sources", "xAI's tools", "Perplexity", "Groq"],
)
def test_a_dialect_of_chat_says_in_its_usage(usage: Any, expected: dict[str, Any]) -> None:
    assert chat(**usage) == expected


def test_what_is_not_said_is_absent() -> None:
    assert chat() == {}
    assert chat(cost=None, prompt_tokens_details={"image_tokens": None}) == {}


def test_damage_is_not_taken_for_a_detail() -> None:
    for wrong in (-1, float("inf"), float("nan"), True, [], {}, "x" * 200):
        assert chat(cost=wrong, num_sources_used=wrong, service_tier=wrong, seconds=wrong) == {}


# ── Streams ─────────────────────────────────────────────────────────────────────────────


def test_a_chat_stream_says_its_tier_first_and_its_usage_last() -> None:
    first = {"id": "c", "model": "m", "service_tier": "flex", "choices": [{"delta": {"content": "Hi"}}]}
    last = {"choices": [], "usage": {"prompt_tokens": 1, "cost": 0.1}}
    assert read(CHAT, [first, last, "[DONE]"]) == {"service_tier": "flex", "provider_cost": 0.1}


def test_a_messages_stream_says_its_tier_first_and_its_searches_last() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 7, "service_tier": "batch"}}}
    tool = {"type": "content_block_start", "content_block": {"type": "server_tool_use", "name": "bash_code_execution"}}
    delta = {"type": "message_delta", "usage": {"output_tokens": 3, "server_tool_use": {"web_search_requests": 2}}}
    assert read(MESSAGES, [start, tool, delta]) == {
        "service_tier": "batch",
        "code_interpreter_calls": 1,
        "web_search_calls": 2,
    }


def test_a_cut_responses_stream_has_the_tools_that_had_run() -> None:
    created = {"type": "response.created", "response": {"id": "r", "model": "m", "service_tier": "auto"}}
    item = {"type": "response.output_item.done", "item": {"type": "web_search_call"}}
    assert read(RESPONSES, [created, item]) == {"service_tier": "auto", "web_search_calls": 1}


def test_a_responses_stream_has_its_tools_once() -> None:
    item = {"type": "response.output_item.done", "item": {"type": "web_search_call"}}
    response = {"status": "completed", "service_tier": "default", "output": [item["item"]]}
    end = {"type": "response.completed", "response": response}
    assert read(RESPONSES, [item, end]) == {"service_tier": "default", "web_search_calls": 1}


def test_a_gemini_stream_has_what_any_of_its_chunks_said() -> None:
    grounded = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a"]}}]}
    usage = {"usageMetadata": {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}]}}
    assert read("/v1beta/models/m:streamGenerateContent", [grounded, usage, {"usageMetadata": {}}]) == {
        "web_search_calls": 1,
        "input_text_tokens": 8,
    }


def test_a_bedrock_stream_says_its_time_last() -> None:
    events = (Event({"usage": {"inputTokens": 7}, "metrics": {"latencyMs": 250}}, "metadata"),)
    body = Body(framing="aws_event_stream", events=events)
    read = extract(Exchange(method="POST", path="/model/m/converse-stream", status=200, response=body))
    assert read.inference.details == {"server_duration": 0.25}


# ── The first piece of the answer ───────────────────────────────────────────────────────


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def block(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **fields}}


def part(**fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [fields]}}]}


def block_delta(**fields: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": fields}}


def cohere(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "delta": {"message": fields}}


REASONED = {
    "DeepSeek": (CHAT, delta(content="", reasoning_content="Hm"), delta(content="Hi")),
    "OpenRouter": (CHAT, delta(content="", reasoning="Hm"), delta(content="Hi")),
    "a call": (CHAT, delta(reasoning="Hm"), delta(tool_calls=[{"index": 0, "id": "1", "function": {"name": "f"}}])),
    "Mistral": (
        CHAT,
        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]),
        delta(content=[{"type": "text", "text": "Hi"}]),
    ),
    "OpenAI": (
        RESPONSES,
        {"type": "response.reasoning_summary_text.delta", "delta": "Hm"},
        {"type": "response.output_text.delta", "delta": "Hi"},
    ),
    "Anthropic": (MESSAGES, block("thinking_delta", thinking="Hm"), block("text_delta", text="Hi")),
    "Gemini": (
        "/v1beta/models/m:streamGenerateContent",
        part(text="Hm", thought=True),
        part(functionCall={"name": "f"}),
    ),
    "Gemini's interactions": (
        "/v1beta/interactions",
        {"event_type": "content.delta", "delta": {"type": "thought_summary", "content": {"text": "Hm"}}},
        {"event_type": "content.delta", "delta": {"type": "text", "text": "Hi"}},
    ),
    "Nova": (
        "/model/m/converse-stream",
        block_delta(reasoningContent={"text": "Hm"}),
        block_delta(text="Hi"),
    ),
    "Cohere": (
        "/v2/chat",
        cohere("content-delta", content={"thinking": "Hm"}),
        cohere("content-delta", content={"text": "Hi"}),
    ),
    "Cohere's plan": ("/v2/chat", cohere("tool-plan-delta", tool_plan="Hm"), cohere("tool-call-delta")),
    "Ollama": ("/api/chat", {"message": {"thinking": "Hm"}}, {"message": {"content": "Hi"}}),
    "DeepSeek's own tags": (CHAT, delta(content="<think>"), delta(content="</think>Hi")),
    "Ollama's generate": ("/api/generate", {"thinking": "Hm"}, {"response": "Hi"}),
}
TIMELINE = ((100, 0.5), (200, 1.0), (300, 3.0), (400, 3.5))


def times(path: str, *values: Any) -> Timing:
    """One value a write, half a second or two apart."""
    events = tuple(Event(value, None, end) for value, (end, _) in zip(values, TIMELINE, strict=False))
    body = Body(framing="sse", events=events)
    return extract(Exchange(method="POST", path=path, status=200, timeline=TIMELINE, response=body)).inference.timing


@pytest.mark.parametrize(("path", "thought", "answer"), REASONED.values(), ids=REASONED)
def test_the_answer_begins_behind_the_visible_reasoning_of(path: str, thought: Any, answer: Any) -> None:
    timing = times(path, thought, thought, answer, answer)
    assert (timing.time_to_first_chunk, timing.time_to_first_answer_chunk, timing.longest_stall) == (0.5, 3.0, 2.0)


@pytest.mark.parametrize(("path", "thought", "answer"), REASONED.values(), ids=REASONED)
def test_where_nothing_is_reasoned_the_first_chunk_is_the_answers(path: str, thought: Any, answer: Any) -> None:
    timing = times(path, answer, thought, answer)
    assert (timing.time_to_first_chunk, timing.time_to_first_answer_chunk) == (0.5, 0.5)


@pytest.mark.parametrize(("path", "thought", "answer"), REASONED.values(), ids=REASONED)
def test_a_stream_that_was_cut_while_it_reasoned_has_no_answer(path: str, thought: Any, answer: Any) -> None:
    timing = times(path, thought, thought)
    assert (timing.time_to_first_chunk, timing.time_to_first_answer_chunk) == (0.5, None), answer


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["<think>", "Hm", "</think>", "Hi"], 3),
        (["\n", "<th", "ink>Hm", "</thi", "nk>\n", "Hi"], 5),
        (["<think>Hm</think>Hi"], 0),
        (["<think>", "Hm"], 2),
        (["Hi", "<think>", "</think>"], 0),
        (["<thing>"], 0),
        (["<", "th"], 0),
        ([" ", "\n"], 0),
        ([], 0),
    ],
)
def test_thoughts_between_tags_are_told_from_the_answer(pieces: list[str], expected: int) -> None:
    assert thought_aloud(pieces) == expected


# ── The vocabulary ──────────────────────────────────────────────────────────────────────


def test_the_documentation_has_every_detail_word_for_word() -> None:
    document = (ROOT / "docs" / "audit.md").read_text("utf-8")
    section = document.partition("## Details")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)) == details.MEANINGS


def test_only_names_of_the_vocabulary_are_read() -> None:
    found = {name for path, reply, _ in WHOLE.values() for name in read(path, reply)}
    assert found <= set(details.MEANINGS)
