"""Which API an exchange speaks, and the reading of it from beginning to end.

Owns the list of APIs, the routing and the rules that hold for all of them: errors, cut
replies, where usage is taken at its word. To add an API, write its file and name it here.
Must not know how any API is laid out, nor storage or metrics.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from http.client import PARTIAL_CONTENT
from typing import Any

import msgspec
from msgspec.structs import replace

from llmtoken import timing
from llmtoken.decode.values import left_open
from llmtoken.errors import tell
from llmtoken.exchange import Exchange
from llmtoken.extract import (
    aleph_alpha,
    anthropic_batches,
    anthropic_complete,
    anthropic_messages,
    baidu_wenxin,
    bedrock_agents,
    bedrock_converse,
    bedrock_invoke,
    cloudflare_run,
    cohere_chat,
    cohere_embed,
    cohere_generate,
    cohere_rerank,
    dashscope,
    deepinfra_inference,
    details,
    gemini_batches,
    gemini_embed,
    gemini_generate_content,
    gemini_interactions,
    generic,
    google_adk,
    hugging_face_tgi,
    koboldcpp_generate,
    llama_cpp_completion,
    lm_studio_chat,
    mistral_conversations,
    oci_chat,
    ollama_chat,
    ollama_embed,
    ollama_generate,
    openai_audio,
    openai_batches,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_responses,
    openai_runs,
    openai_stored,
    replicate_predictions,
    sap_orchestration,
    sglang_generate,
    tencent_hunyuan,
    triton_generate,
    uncounted,
    watsonx,
    yandex_completion,
)
from llmtoken.extract._api import Api, Reply
from llmtoken.extract._errors import FAILED, error_type
from llmtoken.extract._fields import mapping
from llmtoken.extract.provider import provider_name, server
from llmtoken.inference import Extraction, Inference, Usage

log = logging.getLogger(__name__)

APIS: tuple[Api, ...] = (
    openai_chat.API,
    openai_responses.API,
    openai_completions.API,
    openai_embeddings.API,
    anthropic_messages.API,
    google_adk.API,
    yandex_completion.API,
    gemini_generate_content.API,
    gemini_generate_content.STREAM,
    bedrock_converse.API,
    bedrock_converse.STREAM,
    bedrock_invoke.API,
    bedrock_invoke.STREAM,
    cohere_chat.API,
    ollama_chat.API,
    ollama_generate.API,
    openai_stored.RESPONSE,
    openai_stored.CHAT,
    openai_stored.COMPACT,
    triton_generate.API,
    triton_generate.INFER,
    *uncounted.OTHER,
    *uncounted.COUNT_TOKENS,
    *uncounted.PAGES,
    uncounted.BATCHES,
    openai_runs.API,
    openai_runs.RETRIEVE,
    openai_batches.API,
    openai_batches.RESULTS,
    openai_batches.OUTPUT,
    openai_images.API,
    openai_audio.SPEECH,
    openai_audio.TRANSCRIPTIONS,
    openai_audio.TRANSLATIONS,
    anthropic_batches.API,
    anthropic_complete.API,
    gemini_embed.API,
    gemini_embed.BATCH,
    gemini_embed.PREDICT,
    gemini_interactions.API,
    gemini_interactions.RETRIEVE,
    gemini_batches.API,
    gemini_batches.RETRIEVE,
    gemini_batches.RESULTS,
    cohere_embed.API,
    cohere_generate.API,
    cohere_rerank.API,
    mistral_conversations.API,
    replicate_predictions.API,
    replicate_predictions.RETRIEVE,
    replicate_predictions.STREAM,
    watsonx.API,
    watsonx.EMBEDDINGS,
    yandex_completion.EMBEDDINGS,
    sap_orchestration.API,
    sap_orchestration.EMBEDDINGS,
    deepinfra_inference.API,
    hugging_face_tgi.API,
    koboldcpp_generate.API,
    llama_cpp_completion.API,
    ollama_embed.API,
    dashscope.API,
    dashscope.EMBEDDINGS,
    dashscope.RERANK,
    aleph_alpha.API,
    sglang_generate.API,
    lm_studio_chat.API,
    cloudflare_run.API,
    bedrock_agents.API,
    bedrock_agents.GENERATE,
    bedrock_agents.RETRIEVE,
    oci_chat.API,
    oci_chat.GENERATE,
    oci_chat.EMBED,
    oci_chat.RERANK,
    tencent_hunyuan.API,
    baidu_wenxin.API,
)
"""Every API we read. Where several share a path, `looks_like` decides; where none does, the first one is taken."""

PROBLEMS = {
    "unknown_api": "neither the path nor the bodies are of an API we know",
    "generic_usage": "the API is unknown, or the reply isn't its, but it says a usage in words that we know",
    "unreadable_reply": "the API is known, but its reply is neither JSON nor events (an HTML page, say)",
    "reader_failed": "a defect of ours in the reader of this API; please report it",
}
"""What can be wrong with a reading, and what it means. The names are a metric's label."""

SAYS_USAGE = frozenset(
    {
        *("usage", "usageMetadata", "usage_metadata", "usage_info", "meta", "metadata", "metrics", "details"),
        *("results", "predictions", "outputs", "inlinedResponses"),
    }
)
"""Members in which an API says its usage, or parts of it. One that was cut may have had more to say."""

LATEST = 4
"""Of the events of a stream that said no usage in its API's words, how many are asked for one in others' words."""

EARLY = 4
"""Of the events at the beginning of a stream, how many are asked which API it is."""

UNKNOWN = Api(name="unknown", operation_name="", path="", countable=False)


def extract(exchange: Exchange) -> Extraction:
    """Read one exchange. Never raises, whatever is in it.

    A reply that was cut keeps the usage it had reported in full. Where the usage was only on
    its way it is `partial`: the input is kept, and the output as far as the provider had
    counted it; what is missing is for `count` to fill in from what had arrived. A usage that
    will be said again is left: while the answer is still being made, or when fetching it was
    broken off.
    """
    try:
        return _extract(exchange)
    except Exception as error:  # noqa: BLE001 - told
        # The exchange happened, so it must be recorded whatever we got wrong; the caller counts the problem.
        tell(log, error, "Could not read an exchange")
        return Extraction(api="unknown", inference=Inference(), countable=False, problems=("reader_failed",))


class Found(msgspec.Struct, frozen=True):
    """What was found on the way to an `Extraction`; `llmtoken explain` shows it."""

    api: Api
    how: str
    """How the API was recognised, in words."""
    request: Mapping[str, Any]
    first: Mapping[str, Any]
    """The reply, or its first event."""
    reply: Reply
    problem: str | None
    complete: bool


def find(exchange: Exchange) -> Found:
    """Choose the API and read the reply by it. Raises what a defect in doing so raises."""
    body = exchange.response
    first = body.json if body.framing == "json" else body.events[0].data if body.events else None
    reply_object, request_object = mapping(first), mapping(exchange.request.json)
    api, how = _choose(exchange, request_object, reply_object)
    reply, problem = _read(api, exchange, reply_object)
    return Found(api, how, request_object, reply_object, reply, problem, _complete(exchange, api, reply))


def _extract(exchange: Exchange) -> Extraction:
    found = find(exchange)
    api, reply, body = found.api, found.reply, exchange.response
    address, port = server(exchange.upstream, exchange.host)
    fetched = fetches(exchange, api)
    usage = _sourced(reply, complete=found.complete, comes_again=fetched and _is_cut(exchange))
    return Extraction(
        api=api.name,
        inference=Inference(
            operation_name=reply.operation_name or api.operation_name or None,
            provider_name=provider_name(exchange, found.first, api.provider_name),
            server_address=address,
            server_port=port,
            request_model=api.request_model(exchange),
            response_model=reply.model,
            response_id=reply.id,
            finish_reasons=tuple(reply.finish_reasons),
            error_type=reply.error_type,
            stream=body.framing in api.streams_as,
            fetched=fetched,
            tool_calls=None if found.problem else reply.tool_calls,
            usage=usage,
            parts=tuple(reply.parts) if usage.known else (),
            timing=timing.measure(exchange, reply.output_ends, reasoned=reply.reasoned),
            details=reply.details,
        ),
        complete=found.complete,
        countable=_countable(api, exchange, reply),
        prompt=partial(_collected, api.prompt, found.request, api.name),
        completion=partial(_collected, api.completion, body, api.name),
        problems=(found.problem,) if found.problem else (),
    )


def fetches(exchange: Exchange, api: Api) -> bool:
    """Whether the call generates nothing itself: its reply was made for an earlier one."""
    return api.fetches or (exchange.method or "").upper() == "GET"


def _read(api: Api, exchange: Exchange, first: Mapping[str, Any]) -> tuple[Reply, str | None]:
    """What the reply says, and what was wrong with it. The error of a failed request is all that is read of it."""
    body, failed = exchange.response, _failed(exchange)
    reply = Reply(headers=exchange.response_headers, path=exchange.path)
    if failed or body.framing == "json":
        reply.error_type = error_type(exchange.status, exchange.response_headers, first)
    if api is UNKNOWN:
        return reply, "unknown_api"
    if failed:
        return reply, None
    try:
        if body.framing == "json":
            details.read(first, reply.details)
            api.whole(first, reply)
            reply.usage_is_final = not body.truncated or SAYS_USAGE.isdisjoint(left_open(body.text))
        elif body.is_stream:
            api.streamed(body.events, reply)
    except Exception as error:  # noqa: BLE001 - told
        tell(log, error, "Could not read a reply of %s", api.name)
        return Reply(error_type=reply.error_type), "reader_failed"
    if api is generic.API:
        return reply, "generic_usage"
    silent = not (reply.usage.known or reply.pending or reply.error_type)
    if silent and api.countable and generic.recognises(body, latest=LATEST):
        generic.stand_in(body, reply)
        return reply, "generic_usage"
    unreadable = body.framing == "text" and not body.truncated and not api.says_text
    return reply, "unreadable_reply" if unreadable else None


def _is_cut(exchange: Exchange) -> bool:
    """Whether the client got less than there is: somebody broke it off, or it asked for a range of bytes."""
    return bool(exchange.aborted) or exchange.status == PARTIAL_CONTENT


def _failed(exchange: Exchange) -> bool:
    return exchange.status is not None and exchange.status >= FAILED


def _countable(api: Api, exchange: Exchange, reply: Reply) -> bool:
    """Whether missing usage may be counted: not before anything was made, nor where an error stands in its place."""
    fruitless = reply.error_type is not None and not reply.output_ends
    return api.countable and not (reply.pending or fruitless or _failed(exchange))


def _choose(exchange: Exchange, request: Mapping[str, Any], reply: Mapping[str, Any]) -> tuple[Api, str]:
    """By path, then by the bodies: among the APIs that share a path, else among all; else by a usage alone."""
    routed = _route(exchange.method, exchange.path)
    if len(routed) == 1:
        return routed[0], "by method and path"
    # Azure begins a stream with an event that says nothing yet.
    early = filter(None, (mapping(event.data) for event in exchange.response.events[1:EARLY]))
    for said in itertools.chain((reply,), early):
        for api in routed or APIS:
            if api.looks_like(request, said):
                return api, f"by the bodies, {'among those with this path' if routed else 'whatever the path'}"
    if routed:
        return routed[0], "by method and path, the bodies being of none of those with this path"
    if generic.recognises(exchange.response):
        return generic.API, "by a usage in the reply alone"
    return UNKNOWN, "neither path nor bodies nor a usage are known"


LONGEST = 1024
"""Characters at the end of a path that can say which API it is: patterns are quadratic in the worst case."""

_PATTERNS = [(api, re.compile(rf"(?:{api.path})/?$")) for api in APIS]


@lru_cache(maxsize=2048)
def _route(method: str | None, path: str) -> tuple[Api, ...]:
    """The APIs whose path this can be. A report without a method may be any."""
    end = path[-LONGEST:]
    return tuple(
        api for api, pattern in _PATTERNS if (method is None or method.upper() in api.methods) and pattern.search(end)
    )


def _complete(exchange: Exchange, api: Api, reply: Reply) -> bool:
    """Whether the whole reply arrived.

    A stream's own end proves it, even when the client hung up right after. Without one (some
    servers send none) every choice must have finished, and the proxy must say that nobody cut it.
    """
    body = exchange.response
    if exchange.status == PARTIAL_CONTENT:
        return False
    if body.framing == "json" or (body.framing == "json_array" and body.framing not in api.streams_as):
        return not body.truncated
    if body.is_stream:
        return reply.done or reply.usage_is_final or (reply.finished and exchange.aborted == "" and not body.truncated)
    return exchange.aborted not in ("client", "upstream") and not body.truncated


def _sourced(reply: Reply, *, complete: bool, comes_again: bool) -> Usage:
    """The usage with its source; see `extract` for the rules on cut replies."""
    usage = reply.usage
    if reply.pending or (comes_again and not complete):
        return Usage()
    if not usage.known:
        return usage
    if complete or (reply.usage_is_final and usage.output_tokens is not None):
        return replace(usage, source="reported")
    return replace(usage, source="partial", total_tokens=None if usage.output_tokens is None else usage.total_tokens)


def _collected(build: Callable[[Any], Any], value: Any, name: str) -> Any:
    """What `build` makes of a body, or `None` when it can't: counting then knows that it has nothing."""
    try:
        return build(value)
    except Exception as error:  # noqa: BLE001 - told
        tell(log, error, "Could not collect the texts of %s for counting", name)
        return None
