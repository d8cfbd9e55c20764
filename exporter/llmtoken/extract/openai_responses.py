"""OpenAI's responses: `POST …/responses`, spoken by Azure, xAI, DeepSeek and Bedrock's gateway too.

`read_response` is what creating, retrieving and compacting share.
Source: https://platform.openai.com/docs/api-reference/responses and …/responses-streaming
"""

from __future__ import annotations

from typing import Any

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import openai_usage
from llmtoken.inference import Completion, Message, Prompt, ToolCall

CALLS = (
    "function_call",
    "custom_tool_call",
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
)
"""Output items that ask the client to run something; the others (web search, …) run at the provider.

A shell runs at either: hosted ones name their container.
"""
PENDING = ("queued", "in_progress")
ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


def read_response(body: Json, reply: Reply) -> None:
    """Read a `response` object. Its status stands for the finish reason, as the API has none."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    reply.usage = openai_usage(body.get("usage"), reply.model)
    status = text(body.get("status"))
    reply.finish_reasons = [status] if status else []
    reply.pending = status in PENDING
    reply.tool_calls = sum(map(_is_call, mappings(body.get("output"))))
    reply.error_type = error_in(body) or reply.error_type


def _is_call(item: Json) -> bool:
    hosted = text(mapping(item.get("environment")).get("type")) or ""
    return item.get("type") in CALLS and not hosted.startswith("container")


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the typed events: deltas are output, the last event holds the whole response.

    What it leaves out the first one's response says; until it comes, whole items name the calls.
    """
    started: Json = {}
    items: list[Any] = []
    answered = False
    for event in events:
        data = event.data
        if type(data) is not dict:
            continue
        kind = text(data.get("type")) or event.name or ""
        if kind.endswith(".delta"):
            answered = answered or not kind.startswith("response.reasoning")
            reply.reasoned += not answered
            reply.output_ends.append(event.end)
        elif kind in ENDS:
            response = mapping(data.get("response"))
            read_response(response, reply)
            details.read(response, reply.details)
            reply.done = reply.usage_is_final = True
        elif kind == "response.output_item.done":
            items.append(mapping(data.get("item")))
        elif kind == "error":
            reply.error_type = error_in(data) or "error"
        elif not started:
            started = mapping(data.get("response"))
    reply.id, reply.model = reply.id or text(started.get("id")), reply.model or text(started.get("model"))
    if not reply.done:
        details.read({"output": items, "service_tier": started.get("service_tier")}, reply.details)
        reply.pending = started.get("background") is True  # it goes on without whoever listened
    reply.tool_calls = max(reply.tool_calls, sum(map(_is_call, items)))


def prompt(request: Json) -> Prompt | None:
    """Instructions, input (a text or items), tools and the wanted format."""
    messages = []
    if instructions := _texts.said(request.get("instructions")):
        messages.append(Message(role="system", text=instructions))
    asked = request.get("input")
    if type(asked) is str:
        messages.append(Message(role="user", text=asked))
    messages.extend(map(_item, mappings(asked)))
    return Prompt(
        messages=tuple(messages),
        tools=_texts.tools(request.get("tools")),
        response_schema=_texts.response_schema(mapping(request.get("text")).get("format")),
    )


def _item(item: Json) -> Message:
    if item.get("type") in CALLS:
        return Message(role="assistant", tool_calls=(_call(item),))
    if "output" in item:
        return Message(role="tool", text=_texts.said(item["output"]))
    return _texts.message(item)


def _call(item: Json) -> ToolCall:
    return ToolCall(
        name=text(item.get("name")) or text(item.get("type")) or "",
        arguments=_texts.arguments(item.get("arguments") or item.get("input") or item.get("action")),
    )


def completion(body: Body) -> Completion | None:
    """Texts, reasoning summaries and tool calls: of the last response object, or of the deltas when it never came."""
    if body.framing == "json":
        return _output(mapping(body.json))
    choices = _texts.Choices()
    for event in body.events:
        data = mapping(event.data)
        kind = data.get("type")
        if kind in ENDS:
            return _output(mapping(data.get("response")))
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            choices.add_text(0, data.get("delta"))
        elif kind in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
            choices.add_reasoning(data.get("delta"))
        elif kind == "response.output_item.added" and mapping(data.get("item")).get("type") in CALLS:
            choices.add_call(_index(data), mapping(data["item"]).get("name"), None)
        elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            choices.add_call(_index(data), None, data.get("delta"))
    return choices.completion()


def _index(data: Json) -> Any:
    index = data.get("output_index")
    return index if type(index) is int else None


def _output(response: Json) -> Completion:
    items = mappings(response.get("output"))
    return Completion(
        texts=tuple(_texts.said(item.get("content")) for item in items if item.get("type") == "message"),
        reasoning="".join(
            _texts.said(item.get("summary")) + _texts.said(item.get("content"))
            for item in items
            if item.get("type") == "reasoning"
        ),
        tool_calls=tuple(_call(item) for item in items if item.get("type") in CALLS),
    )


def looks_like(request: Json, reply: Json) -> bool:
    """A `response` object, or an event around one."""
    return (
        reply.get("object") == "response"
        or mapping(reply.get("response")).get("object") == "response"
        or ("input" in request and "instructions" in request and not reply)
    )


API = Api(
    name="openai.responses",
    operation_name="chat",
    path=r"/responses",
    looks_like=looks_like,
    whole=read_response,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
