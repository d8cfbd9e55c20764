"""Cloudflare's Workers AI by the model's name: `POST …/ai/run/{model}`, and the same behind its AI Gateway.

A reply is wrapped in `result`, the events of a stream aren't. Models of text have a form of their own, newer
ones OpenAI's chat or responses within; what else there is (vectors, pictures, speech) says no tokens.
Source: https://developers.cloudflare.com/api/resources/ai/methods/run and
https://developers.cloudflare.com/workers-ai/models
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts, details, openai_chat, openai_responses
from llmtoken.extract._api import Api, Json, Reply, in_path
from llmtoken.extract._chunks import DONE, thought_aloud
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import input_alone, openai_usage
from llmtoken.inference import Completion, Prompt

_MODEL = re.compile(r"/(?:ai/run|workers-ai)/(.+?)/?$")

_MADE = (("data", "embeddings"), ("image", "image_generation"), ("audio", "speech"), ("text", "transcription"))
"""What a result holds, and what was done then; `response` is a chat's."""


def model_in_path(exchange: Exchange) -> str | None:
    """`…/ai/run/{model}`, whose name has slashes."""
    return in_path(_MODEL, exchange)


def whole(body: Json, reply: Reply) -> None:
    """Read a reply out of its wrapping."""
    result = mapping(body.get("result"))
    details.read(result, reply.details)
    if family := _family(result):
        family.whole(result, reply)
        return
    reply.operation_name = next((done for made, done in _MADE if made in result and "response" not in result), None)
    usage = openai_usage(result.get("usage"))
    reply.usage = input_alone(usage) if reply.operation_name else usage
    reply.tool_calls = len(mappings(result.get("tool_calls")))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the pieces; the usage comes behind them."""
    if family := _family_among(mapping(event.data) for event in events):
        family.streamed(events, reply)
        return
    telling: Json = {}
    for event in events:
        data = mapping(event.data)
        calls = mappings(data.get("tool_calls"))
        if data.get("response") or calls:
            reply.output_ends.append(event.end)
            reply.tool_calls += len(calls)
        if data.get("usage"):
            telling, reply.usage_is_final = data, not data.get("response")
        reply.error_type = error_in(data) or reply.error_type
        reply.done = reply.done or event.data == DONE
    details.read(telling, reply.details)
    reply.usage = openai_usage(telling.get("usage"))
    reply.reasoned = thought_aloud(_pieces(events))


def _family(value: Json) -> Api | None:
    """The API in whose form a result, or an event, is."""
    if value.get("object") == "response" or (text(value.get("type")) or "").startswith("response."):
        return openai_responses.API
    return openai_chat.API if "choices" in value else None


def _family_among(values: Iterable[Json]) -> Api | None:
    return next((found for value in islice(values, 2) if (found := _family(value))), None)


def _pieces(events: tuple[Event, ...]) -> Iterator[str]:
    return (_texts.said(mapping(event.data).get("response")) for event in events)


def prompt(request: Json) -> Prompt | None:
    """The messages, or the texts to embed. A bare `prompt` may be a picture's, which has no tokens."""
    if "messages" in request:
        return _texts.chat_prompt(request)
    return _texts.text_prompt(request["text"]) if "text" in request else None


def completion(body: Body) -> Completion | None:
    """The text and the tool calls, where it is an answer."""
    values: list[Any] = [mapping(body.json).get("result")] if body.framing == "json" else [e.data for e in body.events]
    parts = list(map(mapping, values))
    if family := _family_among(parts):
        unwrapped = Body(framing="json", json=parts[0]) if body.framing == "json" else body
        return family.completion(unwrapped)
    choices, answers = _texts.Choices(), body.is_stream
    for part in parts:
        answers = answers or "response" in part
        # JSON that was asked for comes as an object.
        choices.add_text(0, _texts.arguments(part.get("response")))
        for call in mappings(part.get("tool_calls")):
            choices.add_call(object(), call.get("name"), call.get("arguments"))
    return choices.completion() if answers else None


API = Api(
    name="cloudflare.run",
    operation_name="chat",
    provider_name="cloudflare",
    path=r"/ai/run/.+|/workers-ai/@.+",
    request_model=model_in_path,
    looks_like=lambda request, reply: "messages" in request and "result" in reply and "success" in reply,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
