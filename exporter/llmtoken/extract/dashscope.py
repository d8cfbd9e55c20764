"""DashScope, Alibaba's own API for Qwen: `POST …/services/{kind}/{task}/{function}` and `…/apps/{id}/completion`.

A stream repeats a growing usage on every chunk; a chunk has the next piece, or the whole text so
far (`incremental_output`). `finish_reason` is the word `null` until there is one. Embeddings
and rerank say a total only, which is their input. An application says a usage for each model it used.
Source: https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-dashscope and
…/application-calling-api
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import input_alone, openai_usage
from llmtoken.extract.openai_chat import ToolCallSlots
from llmtoken.inference import Completion, Prompt, Usage, add_up

_UNFINISHED = "null"


def _choices(body: Json) -> list[Json]:
    """The choices, or the output itself where the text stands in it (`result_format: text`)."""
    output = mapping(body.get("output"))
    return list(mappings(output.get("choices"))) or [output]


def _reasons(body: Json) -> list[str]:
    said = (text(choice.get("finish_reason")) for choice in _choices(body))
    return [reason for reason in said if reason and reason != _UNFINISHED]


def _said(choice: Json) -> str:
    return _texts.said(mapping(choice.get("message")).get("content")) or _texts.said(choice.get("text"))


def _thought(choice: Json) -> str:
    return _texts.said(mapping(choice.get("message")).get("reasoning_content"))


def _usage(usage: Json) -> Usage:
    models = mappings(usage.get("models"))
    return add_up(list(map(openai_usage, models))) if models else openai_usage(usage)


def whole(body: Json, reply: Reply) -> None:
    """Read a generation."""
    reply.id = text(body.get("request_id"))
    reply.usage = _usage(mapping(body.get("usage")))
    reply.finish_reasons = _reasons(body)
    calls = (mappings(mapping(choice.get("message")).get("tool_calls")) for choice in _choices(body))
    reply.tool_calls = sum(map(len, calls))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the chunks; the one with the finish reason is the last. An error is an event of its own."""
    calls = ToolCallSlots()
    telling: Json = {}
    for event in events:
        chunk = mapping(event.data)
        if event.name == "error":
            reply.error_type = text(chunk.get("code")) or "error"
            continue
        reply.id = reply.id or text(chunk.get("request_id"))
        called = False
        for number, choice in enumerate(_choices(chunk)):
            called = bool(calls.add(number, mapping(choice.get("message")))) or called
        said = any(map(_said, _choices(chunk)))
        if said or called or any(map(_thought, _choices(chunk))):
            reply.add_output(event.end, reasoning=not (said or called))
        reply.finish_reasons = _reasons(chunk) or reply.finish_reasons
        if chunk.get("usage"):
            telling = chunk
            reply.usage_is_final = bool(reply.finish_reasons)
    reply.finished = bool(reply.finish_reasons)
    reply.usage = _usage(mapping(telling.get("usage")))
    reply.tool_calls = calls.count
    details.read(telling, reply.details)


def embedded(body: Json, reply: Reply) -> None:
    """Read embeddings or a ranking."""
    reply.id = text(body.get("request_id"))
    reply.usage = input_alone(openai_usage(body.get("usage")))


def prompt(request: Json) -> Prompt | None:
    """The input's messages, or its prompt; tools are among the parameters."""
    asked = mapping(request.get("input"))
    if "messages" not in asked:
        return _texts.text_prompt(asked.get("prompt") or [])
    tools = mapping(request.get("parameters")).get("tools")
    return _texts.chat_prompt({"messages": asked["messages"], "tools": tools})


def completion(body: Body) -> Completion | None:
    """The texts, the reasoning and the calls; a piece that begins with all that was said before replaces it."""
    texts: dict[int, str] = {}
    reasoning = ""
    calls: dict[Any, tuple[Any, str]] = {}
    slots = ToolCallSlots()
    for chunk in map(mapping, _texts.values(body)):
        for number, choice in enumerate(_choices(chunk)):
            texts[number] = _grown(texts.get(number, ""), _said(choice))
            reasoning = _grown(reasoning, _thought(choice))
            for slot, function in slots.add(number, mapping(choice.get("message"))):
                name, arguments = calls.get(slot, (None, ""))
                grown = _grown(arguments, _texts.arguments(function.get("arguments")))
                calls[slot] = (name or function.get("name"), grown)
    choices = _texts.Choices()
    for number, said in texts.items():
        choices.add_text(number, said)
    choices.add_reasoning(reasoning)
    for slot, (name, arguments) in calls.items():
        choices.add_call(slot, name, arguments)
    return choices.completion()


def _grown(so_far: str, piece: str) -> str:
    return piece if so_far and piece.startswith(so_far) else so_far + piece


API = Api(
    name="dashscope.generation",
    operation_name="chat",
    provider_name="alibaba_cloud",
    path=r"/services/aigc/(?:text|multimodal)-generation/generation|/apps/[^/]+/completion",
    looks_like=lambda _request, reply: "output" in reply and "request_id" in reply and "usage" in reply,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
EMBEDDINGS = replace(
    API,
    name="dashscope.embeddings",
    operation_name="embeddings",
    path=r"/services/embeddings/[^/]+/[^/]+",
    looks_like=lambda *_: False,
    whole=embedded,
    prompt=lambda request: _texts.text_prompt(mapping(request.get("input")).get("texts") or []),
    completion=lambda _body: None,
)
RERANK = replace(
    EMBEDDINGS,
    name="dashscope.rerank",
    operation_name="rerank",
    path=r"/services/rerank/[^/]+/[^/]+",
    countable=False,
)
