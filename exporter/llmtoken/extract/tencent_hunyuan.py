"""Tencent Cloud's own API for Hunyuan: `POST /` with the action in a header.

A reply is OpenAI's chat with capitals (`Choices`, `Usage.PromptTokens`), wrapped in `Response`; the events of a stream
aren't wrapped and repeat a growing usage. An error is in a reply of status 200.
Source: https://cloud.tencent.com/document/product/1729/105701
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts, openai_chat
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._chunks import reworded
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, text, underscored
from llmtoken.extract._usage import input_alone
from llmtoken.inference import Completion, Prompt


def _as_chat(value: Any) -> Any:
    """A reply, or an event of one, in OpenAI's spelling."""
    if type(value) is not dict:
        return value
    found = underscored(mapping(value.get("Response")) or value)
    return {**found, "error": found.get("error") or found.get("error_msg")}


def whole(body: Json, reply: Reply) -> None:
    """Read a chat, or embeddings."""
    found = _as_chat(body)
    openai_chat.whole(found, reply)
    reply.id = reply.id or text(found.get("request_id"))
    reply.error_type = reply.error_type or error_in(found)
    if "data" in found:
        reply.operation_name, reply.usage = "embeddings", input_alone(reply.usage)


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the chunks."""
    openai_chat.streamed(reworded(events, _as_chat), reply)


def _model(exchange: Exchange) -> str | None:
    return text(mapping(exchange.request.json).get("Model"))


def prompt(request: Json) -> Prompt | None:
    """The messages and tools."""
    return _texts.chat_prompt(underscored(request))


def completion(body: Body) -> Completion | None:
    """The texts, reasoning and tool calls."""
    return openai_chat.completion(replace(body, json=_as_chat(body.json), events=reworded(body.events, _as_chat)))


API = Api(
    name="tencent.hunyuan",
    operation_name="chat",
    provider_name="tencent_cloud",
    path=r"(?!)",
    looks_like=lambda request, reply: (
        ("Model" in request and "Messages" in request)
        or ("Choices" in reply and "Usage" in reply)
        or "Choices" in mapping(reply.get("Response"))
    ),
    request_model=_model,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
