"""Anthropic's messages: `POST …/v1/messages`, also on Vertex (`…:rawPredict`) and inside Bedrock's invoke.

Source: https://docs.anthropic.com/en/api/messages and …/messages-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmtoken.exchange import Body, Event
from llmtoken.extract import _google, _texts, details
from llmtoken.extract._api import Api, Json, Reply, model_asked_for
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, mapping, mappings, text
from llmtoken.extract._usage import anthropic_usage
from llmtoken.inference import Completion, Image, Message, Prompt, ToolCall

THOUGHTS = ("thinking_delta", "signature_delta")
"""Deltas that are visible reasoning, or seal it."""


def whole(body: Json, reply: Reply) -> None:
    """Read a `message`."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    reply.usage = anthropic_usage(mapping(body.get("usage")))
    reason = text(body.get("stop_reason"))
    reply.finish_reasons = [reason] if reason else []
    # `server_tool_use` and `mcp_tool_use` run at the provider: nobody is asked to call anything.
    reply.tool_calls = sum(block.get("type") == "tool_use" for block in mappings(body.get("content")))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the events. `message_start` has the input and a placeholder output; `message_delta` overrides it.

    A stream cut before its `message_delta` therefore has an input and no output.
    """
    usage: dict[str, Any] = {}
    blocks: list[Any] = []
    for event in events:
        data = event.data
        if type(data) is not dict:
            continue
        kind = data.get("type")
        if kind == "content_block_delta":
            reply.output_ends.append(event.end)
        elif kind == "content_block_start":
            block = mapping(data.get("content_block"))
            reply.tool_calls += block.get("type") == "tool_use"
            blocks.append(block)
        elif kind == "message_start":
            message = mapping(data.get("message"))
            reply.id, reply.model = text(message.get("id")), text(message.get("model"))
            usage.update(mapping(message.get("usage")))
            usage.pop("output_tokens", None)
        elif kind == "message_delta":
            said = mapping(data.get("usage"))
            # Counts are cumulative, so a 0 behind a number is a gateway's placeholder.
            usage.update((name, value) for name, value in said.items() if value or usage.get(name) is None)
            if reason := text(mapping(data.get("delta")).get("stop_reason")):
                reply.finish_reasons = [reason]
                reply.finished = True
                reply.usage_is_final = integer(said.get("output_tokens")) is not None
        elif kind == "message_stop":
            reply.done = True
        elif kind == "error" or event.name == "error":
            reply.error_type = error_in(data) or "error"
    reply.reasoned = _thoughts(events)
    reply.usage = anthropic_usage(usage)
    details.read({"usage": usage, "content": blocks}, reply.details)


def _thoughts(events: tuple[Event, ...]) -> int:
    """How many deltas came before the first that belongs to the answer."""
    thoughts = 0
    for event in events:
        data = mapping(event.data)
        if data.get("type") == "content_block_delta":
            if mapping(data.get("delta")).get("type") not in THOUGHTS:
                break
            thoughts += 1
    return thoughts


def prompt(request: Json) -> Prompt | None:
    """System prompt, messages, tools and the wanted format."""
    system = _texts.said(request.get("system"))
    messages = [Message(role="system", text=system)] if system else []
    messages.extend(_message(item) for item in mappings(request.get("messages")))
    wanted = mapping(request.get("output_config")).get("format") or request.get("output_format")
    return Prompt(
        messages=tuple(messages),
        tools=_texts.tools(request.get("tools")),
        response_schema=_texts.response_schema(wanted),
    )


def _message(item: Json) -> Message:
    blocks = mappings(item.get("content"))
    return Message(
        role=text(item.get("role")) or "user",
        text=_texts.said(item.get("content")),
        tool_calls=tuple(map(_call, (block for block in blocks if block.get("type") == "tool_use"))),
        images=tuple(_images(blocks)),
    )


def _images(blocks: list[dict[str, Any]]) -> Iterator[Image]:
    """Images, those in tool results as well: Base64 or a URL."""
    for block in blocks:
        source = mapping(block.get("source"))
        if block.get("type") == "image":
            yield Image(source=text(source.get("data")) or text(source.get("url")) or "")
        yield from _images(mappings(block.get("content")))


def _call(block: Json) -> ToolCall:
    return ToolCall(name=text(block.get("name")) or "", arguments=_texts.arguments(block.get("input")))


def completion(body: Body) -> Completion | None:
    """The text, the visible thinking and the tool calls."""
    choices = _texts.Choices()
    for number, block in enumerate(mappings(mapping(body.json).get("content"))):
        _add(choices, number, block)
    for event in body.events:
        data = mapping(event.data)
        number = integer(data.get("index")) or 0
        delta = mapping(data.get("delta"))
        # A block begins with an empty input, which then comes in pieces.
        _add(choices, number, {**mapping(data.get("content_block")), "input": None})
        if "partial_json" in delta:
            choices.add_call(number, None, delta["partial_json"])
        choices.add_text(0, delta.get("text"))
        choices.add_reasoning(delta.get("thinking"))
    return choices.completion()


def _add(choices: _texts.Choices, number: int, block: Json) -> None:
    if _is_call(block):
        choices.add_call(number, block.get("name"), block.get("input"))
    choices.add_text(0, block.get("text"))
    choices.add_reasoning(block.get("thinking"))


def _is_call(block: Json) -> bool:
    """Calls of the provider's own tools are written by the model as well, so they count as output."""
    return block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use")


def looks_like(request: Json, reply: Json) -> bool:
    """A `message` or the start of one; or Anthropic's own request field."""
    return (
        (reply.get("type") == "message" and "content" in reply)
        or reply.get("type") == "message_start"
        or "anthropic_version" in request
    )


API = Api(
    name="anthropic.messages",
    operation_name="chat",
    provider_name="anthropic",
    path=r"/v1/messages|/anthropic/models/(?!count-tokens:)[^/]+:(?:raw|streamRaw)Predict",
    looks_like=looks_like,
    request_model=lambda exchange: model_asked_for(exchange) or _google.model_in_path(exchange),
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
