"""Amazon Bedrock's converse and converse-stream, and Nova's own format, which is the same inside invoke.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and
…/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply, in_path
from llmtoken.extract._fields import first_integer, integer, mapping, mappings, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Image, Message, Prompt, ToolCall, Usage

_MODEL = re.compile(r"/model/(.+)/[a-z-]+/?$")
_KINDS = ("contentBlockDelta", "contentBlockStart", "contentBlockStop", "messageStart", "messageStop", "metadata")


def model_in_path(exchange: Exchange) -> str | None:
    """`/model/{id or ARN}/…`; the slash of an ARN may have lost its percent-encoding."""
    return in_path(_MODEL, exchange)


def converse_usage(usage: Json) -> Usage:
    """What was read from or written to the cache comes on top of the input, unless the total says otherwise."""
    fresh, output = integer(usage.get("inputTokens")), integer(usage.get("outputTokens"))
    said = integer(usage.get("totalTokens"))
    cache_read = first_integer(usage, ("cacheReadInputTokens", "cacheReadInputTokenCount"))
    cache_write = first_integer(usage, ("cacheWriteInputTokens", "cacheWriteInputTokenCount"))
    inside = said is not None and said == total(fresh, output)
    return billable(
        input_tokens=fresh if fresh is None or inside else total(fresh, cache_read, cache_write),
        output_tokens=output,
        total_tokens=said,
        cache_read=cache_read,
        cache_write=cache_write,
    )


def whole(body: Json, reply: Reply) -> None:
    """Read a converse response. It names neither itself nor the model."""
    reply.usage = converse_usage(mapping(body.get("usage")))
    reason = text(body.get("stopReason"))
    reply.finish_reasons = [reason] if reason else []
    reply.tool_calls = sum("toolUse" in block for block in _blocks(body))


def _blocks(body: Json) -> list[dict[str, Any]]:
    return mappings(mapping(mapping(body.get("output")).get("message")).get("content"))


def _unwrapped(event: Event) -> tuple[str, Json]:
    """The kind and the fields of an event: named by its frame in converse, by its only key in Nova's."""
    data = mapping(event.data)
    for kind in _KINDS:
        if kind in data:
            return kind, mapping(data[kind])
    return event.name or "", data


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the events; `metadata` is the last and has the usage."""
    for event in events:
        kind, data = _unwrapped(event)
        if kind == "contentBlockDelta":
            reply.add_output(event.end, reasoning="reasoningContent" in mapping(data.get("delta")))
        elif kind == "contentBlockStart":
            reply.tool_calls += "toolUse" in mapping(data.get("start"))
        elif kind == "messageStop":
            if reason := text(data.get("stopReason")):
                reply.finish_reasons = [reason]
                reply.finished = True
        elif kind == "metadata":
            reply.usage = converse_usage(mapping(data.get("usage")))
            details.read(data, reply.details)
            reply.done = reply.usage_is_final = True
        elif kind.endswith("Exception"):
            reply.error_type = kind


def prompt(request: Json) -> Prompt | None:
    """System prompts, messages and tools."""
    if counted := mapping(mapping(request.get("input")).get("converse")):
        request = counted
    system = _texts.said(request.get("system"))
    messages = [Message(role="system", text=system)] if system else []
    messages.extend(map(_message, mappings(request.get("messages"))))
    specifications = [
        {**spec, "parameters": mapping(spec.get("inputSchema")).get("json")}
        for tool in mappings(mapping(request.get("toolConfig")).get("tools"))
        if (spec := mapping(tool.get("toolSpec")))
    ]
    return Prompt(messages=tuple(messages), tools=_texts.tools(specifications))


def _message(message: Json) -> Message:
    blocks = mappings(message.get("content"))
    results = (mapping(block.get("toolResult")).get("content") for block in blocks)
    return Message(
        role=text(message.get("role")) or "user",
        text=_texts.said(message.get("content")) + "".join(map(_texts.said, results)),
        tool_calls=tuple(_call(block["toolUse"]) for block in blocks if "toolUse" in block),
        images=tuple(
            Image(source=text(mapping(mapping(block["image"]).get("source")).get("bytes")) or "")
            for block in blocks
            if "image" in block
        ),
    )


def _call(use: Any) -> ToolCall:
    return ToolCall(name=text(mapping(use).get("name")) or "", arguments=_texts.arguments(mapping(use).get("input")))


def completion(body: Body) -> Completion | None:
    """The text, the visible reasoning and the tool calls."""
    choices = _texts.Choices()
    for number, block in enumerate(_blocks(mapping(body.json))):
        _add(choices, number, block)
    for event in body.events:
        kind, data = _unwrapped(event)
        if kind in ("contentBlockStart", "contentBlockDelta"):
            _add(choices, data.get("contentBlockIndex"), mapping(data.get("start")) or mapping(data.get("delta")))
    return choices.completion()


def _add(choices: _texts.Choices, number: Any, block: Json) -> None:
    if use := mapping(block.get("toolUse")):
        choices.add_call(number if type(number) is int else None, use.get("name"), use.get("input"))
    choices.add_text(0, block.get("text"))
    reasoning = mapping(block.get("reasoningContent"))
    choices.add_reasoning(reasoning.get("text") or reasoning.get("reasoningText"))


API = Api(
    name="bedrock.converse",
    operation_name="chat",
    provider_name="aws.bedrock",
    path=r"/converse",
    looks_like=lambda _request, reply: "stopReason" in reply and "output" in reply,
    request_model=model_in_path,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
STREAM = replace(API, name="bedrock.converse-stream", path=r"/converse-stream", looks_like=lambda *_: False)
