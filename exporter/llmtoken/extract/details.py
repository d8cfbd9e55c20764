"""What only some providers say of a call: tiers, modalities, tools run at the provider, its own price and times.

Owns the vocabulary and the words on the wire that stand for it. One tree of words for all
providers, because what they say is distinct enough and most of them borrow from each other.
What isn't said is absent; 0 means that the provider said 0.

Sources, beside the APIs' own pages that the readers name:
https://openrouter.ai/docs/use-cases/usage-accounting, https://docs.x.ai/developers/cost-tracking,
https://docs.perplexity.ai/api-reference/chat-completions-post, https://console.groq.com/docs/api-reference,
https://docs.cohere.com/reference/rerank, https://docs.mistral.ai/api/endpoint/ocr
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from llmtoken.extract._fields import integer, mapping, mappings, text

MEANINGS = {
    "service_tier": "Tier that served the call, in the provider's word: `default`, `flex`, `priority`, `batch`, …",
    "traffic_type": "Google's word for how the call is billed: `ON_DEMAND`, `PROVISIONED_THROUGHPUT`, …",
    "speed": "How fast the model was asked to be, where that has a price: `standard`, `fast`, `optimized`.",
    "inference_geo": "Where the model ran, where that has a price.",
    "input_text_tokens": "Part of the prompt that was text.",
    "input_image_tokens": "Part of the prompt that was images.",
    "input_video_tokens": "Part of the prompt that was video.",
    "input_document_tokens": "Part of the prompt that was documents.",
    "cache_read_input_text_tokens": "Part of what was read from a cache that was text.",
    "cache_read_input_audio_tokens": "Part of what was read from a cache that was audio.",
    "cache_read_input_image_tokens": "Part of what was read from a cache that was images.",
    "cache_read_input_video_tokens": "Part of what was read from a cache that was video.",
    "cache_read_input_document_tokens": "Part of what was read from a cache that was documents.",
    "cache_write_5m_input_tokens": "Part of what was written to a cache that lives five minutes.",
    "cache_write_1h_input_tokens": "Part of what was written to a cache that lives an hour.",
    "tool_use_input_tokens": "Part of the input that the provider's own tools gave to the model.",
    "output_text_tokens": "Part of the output that was text.",
    "output_image_tokens": "Part of the output that was images.",
    "output_video_tokens": "Part of the output that was video.",
    "accepted_prediction_tokens": "Part of the predicted output that was used.",
    "rejected_prediction_tokens": "Part of the predicted output that was not used, but is billed.",
    "billed_input_tokens": "Input tokens that are billed, where they aren't those that the model saw (Cohere).",
    "billed_output_tokens": "Output tokens that are billed, likewise.",
    "citation_tokens": "Tokens of cited sources, billed apart (Perplexity).",
    "web_search_calls": "Searches of the web, run at the provider.",
    "x_search_calls": "Searches of X, run at the provider.",
    "web_fetch_calls": "Pages fetched by the provider.",
    "file_search_calls": "Searches of stored files, run at the provider.",
    "code_interpreter_calls": "Programs run at the provider.",
    "image_generation_calls": "Images made by a tool at the provider.",
    "mcp_calls": "Calls that the provider made to MCP servers.",
    "server_tool_calls": "Tool calls of all kinds that ran at the provider.",
    "sources_used": "Sources that a search brought, where they are billed (xAI).",
    "search_context_size": "How much of what was searched the model was given: `low`, `medium`, `high`.",
    "search_units": "Searches that are billed (rerank).",
    "pages": "Pages that were read (OCR).",
    "audio_seconds": "Seconds of audio that were heard.",
    "input_images": "Images that are billed one by one.",
    "output_images": "Images that were made.",
    "provider_cost": "What the provider says the call cost, US dollars.",
    "upstream_cost": "What a gateway says the call cost at the provider behind it, US dollars.",
    "server_duration": "How long the provider says it took, seconds.",
    "server_queue_time": "Part of that in the queue, seconds.",
    "server_load_time": "Part of that for loading the model, seconds.",
    "server_input_time": "Part of that for reading the prompt, seconds.",
    "server_output_time": "Part of that for making the output, seconds.",
    "time_to_first_answer_chunk": "From request to the first piece of output that isn't reasoning, seconds; streams.",
    "longest_stall": "Longest time from one piece of output to the next, seconds; streams.",
    "redactions": "How many findings were taken out of the call's texts before they were stored (setting `redact`).",
    "redaction": "`failed` where something could not be taken out, so that none of the call's texts is stored.",
}
"""Every name that details can have, and what it means; docs/audit.md shows them."""

Found = dict[str, int | float | str]
Rule = Callable[[Any, Found], None]
Words = Mapping[str, "Rule | Words"]

MAX_NAME = 100
"""Characters of a tier's name; what is longer is damage."""


def read(said: Mapping[str, Any], found: Found, words: Words | None = None) -> None:
    """Add to `found` what a reply, or a part of it that is laid out like one, says in words that we know."""
    known = BODY if words is None else words
    for word, value in said.items():
        meaning = known.get(word)
        if meaning is None or value is None:
            continue
        if callable(meaning):
            meaning(value, found)
        elif type(value) is dict:
            read(value, found, meaning)


# ── Kinds of values ─────────────────────────────────────────────────────────────────────


def _count(name: str) -> Rule:
    def rule(value: Any, found: Found) -> None:
        if (count := integer(value)) is not None:
            found[name] = count

    return rule


def _amount(name: str, unit: float = 1.0) -> Rule:
    """A quantity that needn't be whole; `unit` is what one of it is in dollars or seconds."""

    def rule(value: Any, found: Found) -> None:
        if type(value) in (int, float) and value >= 0 and math.isfinite(value):
            found[name] = value * unit if unit != 1.0 else value

    return rule


def _name(name: str) -> Rule:
    def rule(value: Any, found: Found) -> None:
        if (word := text(value)) is not None and len(word) <= MAX_NAME:
            found[name] = word

    return rule


def _by_modality(side: str) -> Rule:
    """Google's lists: `[{"modality": "TEXT", "tokenCount": 12}]`."""

    def rule(value: Any, found: Found) -> None:
        for part in mappings(value):
            name = f"{side}_{(text(part.get('modality')) or '').lower()}_tokens"
            count = integer(part.get("tokenCount", part.get("token_count", part.get("tokens"))))
            if name in MEANINGS and count is not None:
                found[name] = count

    return rule


def _cost(value: Any, found: Found) -> None:
    """OpenRouter's number, Perplexity's object."""
    _amount("provider_cost")(mapping(value).get("total_cost") if type(value) is dict else value, found)


def _service_tier(value: Any, found: Found) -> None:
    """A word; Bedrock wraps it."""
    _name("service_tier")(mapping(value).get("type") if type(value) is dict else value, found)


def _cache_details(value: Any, found: Found) -> None:
    """Bedrock's `[{"inputTokens": 12, "ttl": "5m"}]`."""
    for part in mappings(value):
        name, count = f"cache_write_{part.get('ttl')}_input_tokens", integer(part.get("inputTokens"))
        if name in MEANINGS and count is not None:
            found[name] = count


_TOOLS = {
    # OpenAI's output items.
    "web_search_call": "web_search_calls",
    "x_search_call": "x_search_calls",
    "file_search_call": "file_search_calls",
    "code_interpreter_call": "code_interpreter_calls",
    "image_generation_call": "image_generation_calls",
    "mcp_call": "mcp_calls",
    # Mistral's connectors.
    "web_search": "web_search_calls",
    "web_search_premium": "web_search_calls",
    "code_interpreter": "code_interpreter_calls",
    "image_generation": "image_generation_calls",
    "document_library": "file_search_calls",
    # Anthropic's server tools; searches and fetches are in its usage.
    "code_execution": "code_interpreter_calls",
    "bash_code_execution": "code_interpreter_calls",
    "mcp_tool_use": "mcp_calls",
}


def _items(value: Any, found: Found) -> None:
    """Output items (OpenAI) or content blocks (Anthropic) of tools that ran at the provider."""
    for item in mappings(value):
        kind = item.get("name") if item.get("type") in ("server_tool_use", "tool.execution") else item.get("type")
        if type(kind) is str and (name := _TOOLS.get(kind)):
            found[name] = int(found.get(name, 0)) + 1


def _grounding(value: Any, found: Found) -> None:
    """Google's candidates: each query of a grounded one was a search, each URL of its context was fetched."""
    for candidate in mappings(value):
        queries = mapping(candidate.get("groundingMetadata")).get("webSearchQueries")
        if type(queries) is list and queries:
            found["web_search_calls"] = len(queries)
        if pages := mappings(mapping(candidate.get("urlContextMetadata")).get("urlMetadata")):
            found["web_fetch_calls"] = len(pages)


# ── Words ───────────────────────────────────────────────────────────────────────────────

_MS, _NS, _TICK = 1e-3, 1e-9, 1e-10

_CACHED: Words = {
    "text_tokens": _count("cache_read_input_text_tokens"),
    "audio_tokens": _count("cache_read_input_audio_tokens"),
    "image_tokens": _count("cache_read_input_image_tokens"),
}
_INPUT: Words = {
    "text_tokens": _count("input_text_tokens"),
    "image_tokens": _count("input_image_tokens"),
    "video_tokens": _count("input_video_tokens"),
    "cached_tokens_details": _CACHED,
}
_OUTPUT: Words = {
    "text_tokens": _count("output_text_tokens"),
    "image_tokens": _count("output_image_tokens"),
    "video_tokens": _count("output_video_tokens"),
    "accepted_prediction_tokens": _count("accepted_prediction_tokens"),
    "rejected_prediction_tokens": _count("rejected_prediction_tokens"),
}
_SERVER_TOOLS: Words = {
    "web_search_requests": _count("web_search_calls"),
    "web_fetch_requests": _count("web_fetch_calls"),
    "web_search_calls": _count("web_search_calls"),
    "x_search_calls": _count("x_search_calls"),
    "file_search_calls": _count("file_search_calls"),
    "code_interpreter_calls": _count("code_interpreter_calls"),
    "mcp_calls": _count("mcp_calls"),
    "web_search": _count("web_search_calls"),
    "web_search_premium": _count("web_search_calls"),
    "code_interpreter": _count("code_interpreter_calls"),
    "image_generation": _count("image_generation_calls"),
    "document_library": _count("file_search_calls"),
}
_BILLED: Words = {
    "input_tokens": _count("billed_input_tokens"),
    "output_tokens": _count("billed_output_tokens"),
    "search_units": _count("search_units"),
    "images": _count("input_images"),
}
USAGE: Words = {
    "service_tier": _service_tier,
    "serviceTier": _service_tier,
    "trafficType": _name("traffic_type"),
    "traffic_type": _name("traffic_type"),
    "speed": _name("speed"),
    "inference_geo": _name("inference_geo"),
    "prompt_tokens_details": _INPUT,
    "input_tokens_details": _INPUT,
    "completion_tokens_details": _OUTPUT,
    "output_tokens_details": _OUTPUT,
    "promptTokensDetails": _by_modality("input"),
    "promptTokenDetails": _by_modality("input"),
    "candidatesTokensDetails": _by_modality("output"),
    "responseTokensDetails": _by_modality("output"),
    "cacheTokensDetails": _by_modality("cache_read_input"),
    "input_tokens_by_modality": _by_modality("input"),
    "output_tokens_by_modality": _by_modality("output"),
    "cached_tokens_by_modality": _by_modality("cache_read_input"),
    "toolUsePromptTokenCount": _count("tool_use_input_tokens"),
    "tool_use_prompt_token_count": _count("tool_use_input_tokens"),
    "total_tool_use_tokens": _count("tool_use_input_tokens"),
    "connector_tokens": _count("tool_use_input_tokens"),
    "cache_creation": {
        "ephemeral_5m_input_tokens": _count("cache_write_5m_input_tokens"),
        "ephemeral_1h_input_tokens": _count("cache_write_1h_input_tokens"),
    },
    "cacheDetails": _cache_details,
    "server_tool_use": _SERVER_TOOLS,
    "server_side_tool_usage_details": _SERVER_TOOLS,
    "connectors": _SERVER_TOOLS,
    "num_server_side_tools_used": _count("server_tool_calls"),
    "num_sources_used": _count("sources_used"),
    "num_search_queries": _count("web_search_calls"),
    "citation_tokens": _count("citation_tokens"),
    "search_context_size": _name("search_context_size"),
    "billed_units": _BILLED,
    "seconds": _amount("audio_seconds"),
    "prompt_audio_seconds": _amount("audio_seconds"),
    "pages_processed": _count("pages"),
    "cost": _cost,
    "cost_in_usd_ticks": _amount("provider_cost", _TICK),
    "cost_details": {"upstream_inference_cost": _amount("upstream_cost")},
    "queue_time": _amount("server_queue_time"),
    "prompt_time": _amount("server_input_time"),
    "completion_time": _amount("server_output_time"),
    "total_time": _amount("server_duration"),
}
"""Within a usage."""

BODY: Words = {
    "usage": USAGE,
    "usageMetadata": USAGE,
    "usage_metadata": USAGE,
    "usage_info": USAGE,
    "meta": USAGE,
    "x_groq": {"usage": USAGE},
    "service_tier": _service_tier,
    "serviceTier": _service_tier,
    "performanceConfig": {"latency": _name("speed")},
    "output": _items,
    "outputs": _items,
    "content": _items,
    "candidates": _grounding,
    "metrics": {"latencyMs": _amount("server_duration", _MS)},
    "amazon-bedrock-invocationMetrics": {"invocationLatency": _amount("server_duration", _MS)},
    "timings": {
        "prompt_ms": _amount("server_input_time", _MS),
        "predicted_ms": _amount("server_output_time", _MS),
    },
    "inference_status": {"cost": _amount("provider_cost"), "runtime_ms": _amount("server_duration", _MS)},
    "estimated_cost": _amount("provider_cost"),
    "total_duration": _amount("server_duration", _NS),
    "load_duration": _amount("server_load_time", _NS),
    "prompt_eval_duration": _amount("server_input_time", _NS),
    "eval_duration": _amount("server_output_time", _NS),
}
"""At the top of a reply, or of the event that ends a stream."""
