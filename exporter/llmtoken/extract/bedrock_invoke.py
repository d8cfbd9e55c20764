"""Amazon Bedrock's invoke and invoke-with-response-stream: every model family in its own format.

Anthropic's messages, Nova's converse, OpenAI-like chats and completions (imported models) are read by
their own files; the rest differ only in where they keep a text and a finish reason, which `_PLACES` says. Usage
that the body leaves out is in headers, or in the last chunk's `amazon-bedrock-invocationMetrics`.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmtoken.exchange import Body, Event
from llmtoken.extract import (
    _texts,
    anthropic_messages,
    bedrock_converse,
    details,
    openai_chat,
    openai_completions,
)
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import first_integer, integer, mapping, mappings, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt, Usage

_INPUT = ("inputTextTokenCount", "prompt_token_count")
_OUTPUT = ("totalOutputTextTokenCount", "generation_token_count")
_METRICS = "amazon-bedrock-invocationMetrics"

_PLACES = (
    # The list of choices, where each keeps its text, and where its finish reason.
    ("results", "outputText", "completionReason"),  # Titan
    ("generations", "text", "finish_reason"),  # Cohere command
    ("completions", "data", "finishReason"),  # AI21 Jurassic
    ("outputs", "text", "stop_reason"),  # Mistral
    ("choices", "text", "stop_reason"),  # DeepSeek
    ("", "generation", "stop_reason"),  # Llama
    ("", "completion", "stop_reason"),  # Anthropic's text completions
    ("", "outputText", "completionReason"),  # Titan, streamed
    ("", "text", "finish_reason"),  # Cohere command R
)


def whole(body: Json, reply: Reply) -> None:
    """Read a model's reply."""
    if family := _family(body):
        family.whole(body, reply)
        reply.operation_name = family.operation_name
        reply.finish_reasons = reply.finish_reasons or _stop_reasons(body)
    else:
        reply.id = text(body.get("id")) or text(body.get("response_id")) or text(body.get("generation_id"))
        reply.model = text(body.get("model"))
        reply.finish_reasons = [reason for _, reason in _choices(body) if reason]
        reply.usage = _usage_in_body(body)
        reply.operation_name = _operation(body)
    if not reply.usage.known:
        reply.usage = _usage_in_headers(reply.headers)


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold a model's chunks."""
    family = next((found for event in events if (found := _family(mapping(event.data)))), None)
    if family:
        family.streamed(events, reply)
        reply.operation_name = family.operation_name
        if not reply.finish_reasons:
            reply.finish_reasons = [reason for event in events for reason in _stop_reasons(mapping(event.data))]
    else:
        _fold(events, reply)
    for event in events:
        data = mapping(event.data)
        if metrics := mapping(data.get(_METRICS)):
            reply.done = reply.usage_is_final = True
            details.read(data, reply.details)
            if not family or not reply.usage.known:
                reply.usage = _usage_in_metrics(metrics)
        if event.name and event.name.endswith("Exception"):
            reply.error_type = event.name


def _fold(events: tuple[Event, ...], reply: Reply) -> None:
    counts: dict[str, Any] = {}
    stopped = False
    for event in events:
        chunk = mapping(event.data)
        # A guardrail that steps in has the last word.
        stopped = stopped or chunk.get("amazon-bedrock-guardrailAction") == "INTERVENED"
        choices = _choices(chunk)
        if any(said for said, _ in choices):
            reply.output_ends.append(event.end)
        # Cohere's last chunk has a reason and no text.
        reasons = [reason for _, reason in choices] or [text(chunk.get("finish_reason"))]
        reply.finish_reasons = list(filter(None, reasons)) or reply.finish_reasons
        counts.update((name, chunk[name]) for name in (*_INPUT, *_OUTPUT) if chunk.get(name) is not None)
    reply.finished = bool(reply.finish_reasons) or stopped
    reply.usage = _usage_in_body(counts)


def _stop_reasons(body: Json) -> list[str]:
    """Mistral's chat is OpenAI's but for this name."""
    return [reason for choice in mappings(body.get("choices")) if (reason := text(choice.get("stop_reason")))]


def _family(body: Json) -> Api | None:
    """The API whose format this is, if it is one that has a file of its own."""
    if body.get("type") in ("message", "message_start"):
        return anthropic_messages.API
    if "stopReason" in body or "messageStart" in body:
        return bedrock_converse.API
    if body.get("object") == "text_completion":
        return openai_completions.API
    choice = next(iter(mappings(body.get("choices"))), {})
    return openai_chat.API if "message" in choice or "delta" in choice else None


def _choices(body: Json) -> list[tuple[str, str | None]]:
    """The text and the finish reason of every choice."""
    for where, said, why in _PLACES:
        entries = mappings(body.get(where)) if where else [body]
        found = [(_texts.said(entry.get(said)), _reason(entry.get(why))) for entry in entries if said in entry]
        if found:
            return found
    return []


def _reason(value: Any) -> str | None:
    # AI21 wraps it: {"reason": "endoftext"}.
    return text(value) or text(mapping(value).get("reason"))


def _usage_in_body(body: Json) -> Usage:
    """Titan's and Llama's own words. Titan's embeddings have an input only."""
    results = [integer(result.get("tokenCount")) for result in mappings(body.get("results"))]
    return billable(
        input_tokens=first_integer(body, _INPUT), output_tokens=total(*results, first_integer(body, _OUTPUT))
    )


def _operation(body: Json) -> str | None:
    """What the model did, where it didn't chat: the path doesn't say."""
    if "embedding" in body or "embeddings" in body or "embeddingsByType" in body:
        return "embeddings"
    if "relevance_score" in next(iter(mappings(body.get("results"))), {}):
        return "rerank"
    return "text_completion" if _choices(body) else None


def _usage_in_headers(headers: Mapping[str, str]) -> Usage:
    def count(name: str) -> int | None:
        return integer(headers.get(f"x-amzn-bedrock-{name}-token-count"))

    return _with_cache(count("input"), count("output"), count("cache-read-input"), count("cache-write-input"))


def _usage_in_metrics(metrics: Json) -> Usage:
    def count(name: str) -> int | None:
        return integer(metrics.get(f"{name}TokenCount"))

    return _with_cache(count("input"), count("output"), count("cacheReadInput"), count("cacheWriteInput"))


def _with_cache(fresh: int | None, output: int | None, read: int | None, write: int | None) -> Usage:
    """The cache comes on top of the input, as everywhere at Bedrock."""
    return billable(
        input_tokens=None if fresh is None else total(fresh, read, write),
        output_tokens=output,
        cache_read=read,
        cache_write=write,
    )


def prompt(request: Json) -> Prompt | None:
    """The messages, or the text, in whichever family's words."""
    if "anthropic_version" in request:
        return anthropic_messages.prompt(request)
    if "messages" in request:
        nova = "schemaVersion" in request or "inferenceConfig" in request or "toolConfig" in request
        return bedrock_converse.prompt(request) if nova else _texts.chat_prompt(request)
    asked = next((request[name] for name in ("prompt", "inputText", "message", "texts") if name in request), None)
    return None if asked is None else _texts.text_prompt(asked)


def completion(body: Body) -> Completion | None:
    """The text of the reply, in whichever family's words."""
    values = list(map(mapping, _texts.values(body)))
    family = next((found for value in values if (found := _family(value))), None)
    if family:
        return family.completion(body)
    choices, answers = _texts.Choices(), body.is_stream
    for value in values:
        for number, (said, _) in enumerate(_choices(value)):
            choices.add_text(number, said)
            answers = True
    # An embedding or a ranking isn't an answer of no tokens, but none.
    return choices.completion() if answers else None


API = Api(
    name="bedrock.invoke",
    operation_name="chat",
    provider_name="aws.bedrock",
    path=r"/model/.+/invoke",
    request_model=bedrock_converse.model_in_path,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
STREAM = replace(API, name="bedrock.invoke-with-response-stream", path=r"/invoke-with-response-stream")
