"""Token counts as providers say them, made into `Usage`: billable, with subsets inside their totals.

Owns the arithmetic and the field names that many APIs share (OpenAI's and its dialects',
Anthropic's). An API with field names of its own reads them itself and calls `billable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from llmtoken.extract._fields import first_integer, first_mapping, integer, mapping, mappings, total
from llmtoken.inference import Usage

_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
# Writer and Mistral say `token` where OpenAI says `tokens`.
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details", "input_token_details")
_OUTPUT_DETAILS = (
    "completion_tokens_details",
    "output_tokens_details",
    "completion_token_details",
    "output_token_details",
)
# Beside the details: DeepSeek, Moonshot and TGI, Mistral, Databricks and LiteLLM.
_CACHE_READ = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
# In the details: OpenAI and OpenRouter, LiteLLM, Hugging Face's router; beside them: Databricks and LiteLLM.
_CACHE_WRITE_DETAILS = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
_CACHE_WRITE = ("cache_creation_input_tokens",)


def billable(
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    total_tokens: int | None = None,
    cache_read: int | None = None,
    cache_write: int | None = None,
    reasoning: int | None = None,
    input_audio: int | None = None,
    output_audio: int | None = None,
) -> Usage:
    """The usage, with each subset cut to its total and a total where both sides are known.

    Azure, for one, takes its own system prompt off Grok's prompt but not off the cached
    part of it, which would give more cached tokens than tokens.
    """
    if total_tokens is None and input_tokens is not None and output_tokens is not None:
        total_tokens = input_tokens + output_tokens
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total_tokens,
        cache_read_input_tokens=_within(cache_read, input_tokens),
        cache_write_input_tokens=_within(
            cache_write,
            input_tokens if cache_read is None or input_tokens is None else max(input_tokens - cache_read, 0),
        ),
        reasoning_output_tokens=_within(reasoning, output_tokens),
        input_audio_tokens=_within(input_audio, input_tokens),
        output_audio_tokens=_within(output_audio, output_tokens),
    )


def openai_usage(value: Any, model: str | None = None) -> Usage:
    """Usage in OpenAI's words, of chat (`prompt_tokens`) or of responses (`input_tokens`), and its dialects.

    OpenAI counts cached and audio tokens inside the prompt and reasoning inside the
    completion. Where others leave them out, their total gives them away:

    - xAI: total = prompt + completion + reasoning. Where the total is prompt + completion, it knows better
      than a reasoning that is said to be larger than the completion: Together counts a few tokens more.
      But Perplexity's deep research leaves out of its total what it bills apart, cited sources and reasoning.
    - Anthropic models behind gateways: total = prompt + completion + cache read + cache write.
    - Mistral: audio is only in the total; `prompt_audio_seconds` says that there was some.
    - Gemini's OpenAI endpoint: thoughts are only in the total, and nothing says how many. Vercel's gateway
      leaves them out of the total too, but says them as if they were a part; its price counts them.

    Source: https://platform.openai.com/docs/api-reference/chat/object, and the recordings behind DESIGN §10.
    """
    usage = mapping(value)
    if not usage:
        return Usage()
    input_tokens = first_integer(usage, _INPUT)
    output_tokens = first_integer(usage, _OUTPUT)
    said = integer(usage.get("total_tokens"))
    inside, outside = first_mapping(usage, _INPUT_DETAILS), first_mapping(usage, _OUTPUT_DETAILS)
    cache_read = integer(inside.get("cached_tokens"))
    if cache_read is None:
        # DashScope says modalities in one and the cache in another of the details.
        cache_read = integer(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    if cache_read is None:
        cache_read = first_integer(usage, _CACHE_READ)
    cache_write = first_integer(inside, _CACHE_WRITE_DETAILS)
    if cache_write is None:
        cache_write = first_integer(usage, _CACHE_WRITE)
    reasoning, beside = integer(outside.get("reasoning_tokens")), integer(usage.get("reasoning_tokens"))
    input_audio = integer(inside.get("audio_tokens"))

    missing = (
        0 if said is None or input_tokens is None or output_tokens is None else said - input_tokens - output_tokens
    )
    gemini = model is not None and "gemini" in model
    told = said is not None and not gemini and (reasoning is not None or "citation_tokens" not in usage)
    reasoning = beside if reasoning is None else reasoning
    if reasoning and output_tokens is not None and (missing == reasoning or (reasoning > output_tokens and not told)):
        output_tokens += reasoning
    elif input_tokens is not None and output_tokens is not None and missing > 0:
        if missing == (cache_read or 0) + (cache_write or 0):
            input_tokens += missing
        elif usage.get("prompt_audio_seconds"):
            input_tokens += missing
            input_audio = missing if input_audio is None else input_audio
        elif gemini:
            output_tokens += missing
            reasoning = missing if reasoning is None else reasoning
    return billable(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=said,
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=reasoning,
        input_audio=input_audio,
        output_audio=integer(outside.get("audio_tokens")),
    )


def input_alone(usage: Usage) -> Usage:
    """The usage of what generates nothing: a total that stands alone is the input."""
    return usage if usage.known else replace(usage, input_tokens=usage.total_tokens)


def computed_usage(headers: Mapping[str, str]) -> Usage:
    """What TEI says of embeddings, rankings and classes: in a header, since its replies are bare lists.

    Source: https://github.com/huggingface/text-embeddings-inference, router/src/http/server.rs
    """
    return billable(input_tokens=integer(headers.get("x-compute-tokens")))


def usage_in_timings(timings: Mapping[str, Any]) -> dict[str, Any] | None:
    """llama.cpp's `timings` in OpenAI's words; `None` when they don't say what came from its prompt cache.

    They end its chat streams also when nobody asked for usage. `prompt_n` is the part of the prompt that had
    to be processed, so without `cache_n`, which older builds leave out, the input isn't known.

    Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, "Timings and context usage".
    """
    cached, fresh, output = (integer(timings.get(name)) for name in ("cache_n", "prompt_n", "predicted_n"))
    if cached is None or fresh is None or output is None:
        return None
    return {
        "prompt_tokens": cached + fresh,
        "completion_tokens": output,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def anthropic_usage(usage: Mapping[str, Any]) -> Usage:
    """Usage in Anthropic's words: what was read from or written to the cache comes on top of the input.

    A compaction is billed, but only said under `iterations`; so it comes on top as well.
    Source: https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching#tracking-cache-performance
    and …/build-with-claude/compaction#understanding-usage
    """
    turns = [usage, *(one for one in mappings(usage.get("iterations")) if one.get("type") == "compaction")]
    cache_read = total(*(integer(turn.get("cache_read_input_tokens")) for turn in turns))
    cache_write = total(*(integer(turn.get("cache_creation_input_tokens")) for turn in turns))
    fresh = total(*(integer(turn.get("input_tokens")) for turn in turns))
    return billable(
        input_tokens=None if fresh is None else total(fresh, cache_read, cache_write),
        output_tokens=total(*(integer(turn.get("output_tokens")) for turn in turns)),
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=integer(mapping(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


def _within(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None or part <= whole else whole
