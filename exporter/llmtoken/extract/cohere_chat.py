"""Cohere's chat, v1 and v2, whole and streamed.

`usage.tokens` (v2) and `meta.tokens` (v1) count what the model saw and made; `billed_units`
leave out Cohere's own prompt, and stand in where there are no tokens.
Source: https://docs.cohere.com/reference/chat and …/reference/chat-v1
"""

from __future__ import annotations

from typing import Any

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import integer, mapping, mappings, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Message, Prompt, ToolCall, Usage


def cohere_usage(usage: Json) -> Usage:
    """Tokens, else billed units. Images of an embedding are billed beside its texts."""
    tokens = mapping(usage.get("tokens")) or mapping(usage.get("billed_units"))
    return billable(
        input_tokens=total(integer(tokens.get("input_tokens")), integer(tokens.get("image_tokens"))),
        output_tokens=integer(tokens.get("output_tokens")),
        cache_read=integer(usage.get("cached_tokens")),
        reasoning=integer(tokens.get("reasoning_tokens")),
    )


def whole(body: Json, reply: Reply) -> None:
    """Read a v2 message, or a v1 reply."""
    reply.id = text(body.get("id")) or text(body.get("response_id")) or text(body.get("generation_id"))
    reply.usage = cohere_usage(mapping(body.get("usage")) or mapping(body.get("meta")))
    reason = text(body.get("finish_reason"))
    reply.finish_reasons = [reason] if reason else []
    calls = mapping(body.get("message")).get("tool_calls") or body.get("tool_calls")
    reply.tool_calls = len(mappings(calls))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold v2's SSE (`message-end` is the last) or v1's NDJSON (`stream-end` holds the whole reply)."""
    for event in events:
        data = mapping(event.data)
        kind = text(data.get("type")) or text(data.get("event_type")) or event.name or ""
        if kind.endswith("-delta") or kind in ("text-generation", "tool-calls-chunk"):
            reply.add_output(event.end, reasoning=_is_thought(kind, data))
        elif kind == "tool-call-start":
            reply.tool_calls += 1
        elif kind == "message-start":
            reply.id = text(data.get("id"))
        elif kind == "message-end":
            end = mapping(data.get("delta"))
            reply.usage = cohere_usage(mapping(end.get("usage")))
            details.read(end, reply.details)
            reason = text(end.get("finish_reason"))
            reply.finish_reasons = [reason] if reason else []
            reply.done = reply.usage_is_final = True
            reply.error_type = "error" if end.get("error") else None
        elif kind == "stream-end":
            response = mapping(data.get("response"))
            whole(response, reply)
            details.read(response, reply.details)
            reason = text(data.get("finish_reason"))
            reply.finish_reasons = [reason] if reason else reply.finish_reasons
            reply.done = reply.usage_is_final = True


def _is_thought(kind: str, data: Json) -> bool:
    """Thinking, or a plan of which tools to call."""
    message = mapping(mapping(data.get("delta")).get("message"))
    return kind == "tool-plan-delta" or "thinking" in mapping(message.get("content"))


def prompt(request: Json) -> Prompt | None:
    """v2's messages, or v1's preamble, history and message."""
    if "messages" in request:
        return _texts.chat_prompt(request)
    preamble = _texts.said(request.get("preamble"))
    messages = [Message(role="system", text=preamble)] if preamble else []
    messages.extend(
        Message(role=(text(turn.get("role")) or "user").lower(), text=_texts.said(turn.get("message")))
        for turn in mappings(request.get("chat_history"))
    )
    messages.append(Message(role="user", text=_texts.said(request.get("message"))))
    return Prompt(messages=tuple(messages), tools=_texts.tools(request.get("tools")))


def completion(body: Body) -> Completion | None:
    """The text, the tool plan or thinking, and the tool calls."""
    if body.framing == "json":
        return _whole_completion(mapping(body.json))
    choices = _texts.Choices()
    for event in body.events:
        data = mapping(event.data)
        if data.get("event_type") == "stream-end":
            return _whole_completion(mapping(data.get("response")))
        if data.get("event_type") == "text-generation":
            choices.add_text(0, data.get("text"))
        message = mapping(mapping(data.get("delta")).get("message"))
        content = mapping(message.get("content"))
        choices.add_text(0, content.get("text"))
        choices.add_reasoning(message.get("tool_plan") or content.get("thinking"))
        if call := mapping(mapping(message.get("tool_calls")).get("function")):
            choices.add_call(integer(data.get("index")), call.get("name"), call.get("arguments"))
    return choices.completion()


def _whole_completion(body: Json) -> Completion:
    message = mapping(body.get("message"))
    blocks = mappings(message.get("content"))
    v1 = (
        ToolCall(name=text(c.get("name")) or "", arguments=_texts.arguments(c.get("parameters"))) for c in _calls(body)
    )
    return Completion(
        texts=(_texts.said(message.get("content")) or _texts.said(body.get("text")),),
        reasoning=_texts.said(message.get("tool_plan"))
        + "".join(_texts.said(block.get("thinking")) for block in blocks),
        tool_calls=_texts.tool_calls(message.get("tool_calls")) or tuple(v1),
    )


def _calls(body: Json) -> list[dict[str, Any]]:
    return mappings(body.get("tool_calls"))


_ERRORS = {"id", "message", "data", "error", "detail"}
"""What a reply that failed may have. Many other APIs are asked with a `message` as well."""


def looks_like(request: Json, reply: Json) -> bool:
    """v1's message or reply, v2's message without choices, or the beginning of a stream of either."""
    return (
        "generation_id" in reply
        or ("finish_reason" in reply and "message" in reply)
        or reply.get("type") == "message-start"
        or reply.get("event_type") == "stream-start"
        or (type(request.get("message")) is str and ("meta" in reply or reply.keys() <= _ERRORS))
    )


API = Api(
    name="cohere.chat",
    operation_name="chat",
    provider_name="cohere",
    path=r"/v[12]/chat",
    looks_like=looks_like,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
