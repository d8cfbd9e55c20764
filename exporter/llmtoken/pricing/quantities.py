"""What a call used, in the price list's units: tokens of each kind, and what is sold by the piece.

Owns what our names are called there. What is priced apart though it is a part of the whole
(cached, long-lived, audio, images) is named as a part, so the list can take it out.
"""

from __future__ import annotations

import genai_prices

from llmtoken.inference import Details, Inference

PIECES = {
    "audio_seconds": ("audio_seconds", "input_audio_seconds"),
    "citation_tokens": ("output_citation_tokens",),
    "code_interpreter_calls": ("code_executions",),
    "file_search_calls": ("storage_searches",),
    "pages": ("input_document_pages",),
    "search_units": ("rerank_searches",),
    "web_search_calls": ("web_searches",),
    "x_search_calls": ("social_searches",),
}
"""Details that are sold by themselves, and their units in the list."""

_PARTS = {
    "cache_write_5m_input_tokens": "cache_write_5m_tokens",
    "cache_write_1h_input_tokens": "cache_write_1h_tokens",
    "input_text_tokens": "input_text_tokens",
    "input_image_tokens": "input_image_tokens",
    "input_video_tokens": "input_video_tokens",
    "output_text_tokens": "output_text_tokens",
    "output_image_tokens": "output_image_tokens",
    "output_video_tokens": "output_video_tokens",
    "cache_read_input_text_tokens": "cache_text_read_tokens",
    "cache_read_input_audio_tokens": "cache_audio_read_tokens",
    "cache_read_input_image_tokens": "cache_image_read_tokens",
    "cache_read_input_video_tokens": "cache_video_read_tokens",
    "tool_use_input_tokens": "input_tool_tokens",
}
"""Details that are parts of the tokens, likewise. Documents are images there."""

UNITS = {name: (unit,) for name, unit in _PARTS.items()} | {
    **PIECES,
    "input_document_tokens": ("input_image_tokens",),
    "cache_read_input_document_tokens": ("cache_image_read_tokens",),
}
"""Every detail that may change a price, with the units that it counts."""

BILLED = frozenset({"billed_input_tokens", "billed_output_tokens"})
"""What is paid instead of the tokens that the model saw (Cohere)."""

_WORKLESS = {None, "batch", "count_tokens", "manage"}
"""Operations that ask nothing of a model."""

Terms = tuple[tuple[str, str], ...]
"""Name and value of what the list calls a price's context."""

_TRAFFIC = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}


def anything(inference: Inference) -> bool:
    """Whether it is known that the call used anything that could have a price."""
    return inference.usage.known or not PIECES.keys().isdisjoint(inference.details)


def generated(inference: Inference) -> bool:
    """Whether the model worked for this call, as far as that can be told without a usage."""
    if inference.fetched or inference.operation_name in _WORKLESS:
        return False
    return inference.error_type is None or inference.usage.known


def usage(inference: Inference) -> genai_prices.Usage:
    """All that was used, as the list wants it said."""
    counts, details = inference.usage, inference.details
    input_tokens = _count(details, "billed_input_tokens", counts.input_tokens)
    output_tokens = _count(details, "billed_output_tokens", counts.output_tokens)
    used: dict[str, int | float | None] = {
        "cache_read_tokens": counts.cache_read_input_tokens,
        "cache_write_tokens": counts.cache_write_input_tokens,
        "output_reasoning_tokens": counts.reasoning_output_tokens,
        "input_audio_tokens": counts.input_audio_tokens,
        "output_audio_tokens": counts.output_audio_tokens,
    }
    for name, units in UNITS.items():
        amount = details.get(name)
        if isinstance(amount, int | float):
            for unit in units:
                used[unit] = (used.get(unit) or 0) + amount
    if output_tokens is not None:
        output_tokens += int(used.get("output_citation_tokens") or 0)  # they come on top of what was written
    return genai_prices.Usage(input_tokens=input_tokens, output_tokens=output_tokens, **used)


def terms(details: Details) -> Terms:
    """Under which terms the call was served, in the list's words; most have none that have a price."""
    found = []
    tier = details.get("service_tier") or _TRAFFIC.get(str(details.get("traffic_type")))
    if tier:
        found.append(("processing" if tier == "batch" else "service_tier", str(tier)))
    if speed := details.get("speed"):
        found.append(("speed", str(speed)))
    return tuple(found)


def _count(details: Details, name: str, otherwise: int | None) -> int | None:
    billed = details.get(name)
    return billed if isinstance(billed, int) else otherwise
