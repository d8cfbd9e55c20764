"""Yandex Cloud's foundation models: `POST …/foundationModels/v1/completion`, `…/completionAsync`, `…/textEmbedding`.

Counts are texts (`"7"`). A stream is JSON lines that each have the whole text and usage so far; the status says
whether more is to come. What is asked for asynchronously is fetched as an operation, with the answer inside.
Source: https://yandex.cloud/en/docs/foundation-models/text-generation/api-ref/TextGeneration/completion
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import first_mapping, integer, mapping, mappings, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Message, Prompt, ToolCall, Usage

_UNFINISHED = ("ALTERNATIVE_STATUS_PARTIAL", "ALTERNATIVE_STATUS_UNSPECIFIED")


def _answer(body: Json) -> Json:
    """The answer: in `result` over HTTP, in `response` of an operation, bare where gRPC is written as JSON."""
    return first_mapping(body, ("result", "response")) or body


def _usage(usage: Json) -> Usage:
    return billable(
        input_tokens=integer(usage.get("inputTextTokens")),
        output_tokens=integer(usage.get("completionTokens")),
        total_tokens=integer(usage.get("totalTokens")),
        reasoning=integer(mapping(usage.get("completionTokensDetails")).get("reasoningTokens")),
    )


def _calls(alternative: Json) -> list[Json]:
    listed = mapping(mapping(alternative.get("message")).get("toolCallList"))
    return [mapping(call.get("functionCall")) for call in mappings(listed.get("toolCalls"))]


def whole(body: Json, reply: Reply) -> None:
    """Read an answer, or the operation that stands for one. The model's version is no name of it."""
    found = _answer(body)
    alternatives = mappings(found.get("alternatives"))
    reply.id = text(body.get("id")) or reply.id
    reply.usage = _usage(mapping(found.get("usage")))
    statuses = (text(one.get("status")) for one in alternatives)
    reply.finish_reasons = [status for status in statuses if status and status not in _UNFINISHED]
    reply.tool_calls = sum(len(_calls(one)) for one in alternatives)
    reply.pending = body.get("done") is False


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Read the lines; the last one has everything."""
    length = 0
    for event in events:
        data = mapping(event.data)
        if "alternatives" in _answer(data):
            whole(data, reply)
            written = sum(map(len, map(_said, mappings(_answer(data)["alternatives"]))))
            if written > length or reply.tool_calls:
                reply.output_ends.append(event.end)
            length = written
        reply.error_type = error_in(data) or reply.error_type
    reply.done = reply.usage_is_final = bool(reply.finish_reasons)


def _said(alternative: Json) -> str:
    return _texts.said(mapping(alternative.get("message")).get("text"))


def embedded(body: Json, reply: Reply) -> None:
    """Read an embedding."""
    reply.usage = billable(input_tokens=integer(body.get("numTokens")))


def _model(exchange: Exchange) -> str | None:
    """`gpt://{folder}/{model}/{version}` without the folder, which is the customer's."""
    found = text(mapping(exchange.request.json).get("modelUri")) or ""
    return found.partition("://")[2].partition("/")[2] or found or None


def prompt(request: Json) -> Prompt | None:
    """The messages and tools."""
    messages = (
        Message(role=text(one.get("role")) or "user", text=_texts.said(one.get("text")))
        for one in mappings(request.get("messages"))
    )
    return Prompt(messages=tuple(messages), tools=_texts.tools(request.get("tools")))


def completion(body: Body) -> Completion | None:
    """The texts and calls of the last line, which has all of them."""
    found = [one for value in _texts.values(body) if (one := mappings(_answer(mapping(value)).get("alternatives")))]
    if not found:
        return None
    calls = (
        ToolCall(name=text(call.get("name")) or "", arguments=_texts.arguments(call.get("arguments")))
        for alternative in found[-1]
        for call in _calls(alternative)
    )
    return Completion(texts=tuple(map(_said, found[-1])), tool_calls=tuple(calls))


API = Api(
    name="yandex.completion",
    operation_name="chat",
    provider_name="yandex_cloud",
    path=r"/foundationModels/v1/completion(?:Async)?",
    looks_like=lambda _request, reply: "alternatives" in _answer(reply),
    request_model=_model,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
EMBEDDINGS = replace(
    API,
    name="yandex.embeddings",
    operation_name="embeddings",
    path=r"/foundationModels/v1/textEmbedding",
    looks_like=lambda _request, reply: "embedding" in reply and "numTokens" in reply,
    whole=embedded,
    prompt=lambda request: _texts.text_prompt(request.get("text")),
    completion=lambda _body: None,
)
