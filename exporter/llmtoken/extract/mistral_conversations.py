"""Mistral's conversations: `POST …/v1/conversations` and `…/conversations/{id}`, also by agents.

OpenAI has the same path for something that uses no tokens, so the reply decides.
Source: https://docs.mistral.ai/api/endpoint/beta/conversations
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import openai_usage
from llmtoken.inference import Completion


def whole(body: Json, reply: Reply) -> None:
    """Read a `conversation.response`."""
    outputs = mappings(body.get("outputs"))
    reply.id = text(body.get("conversation_id"))
    reply.model = next((model for one in outputs if (model := text(one.get("model")))), None)
    reply.usage = openai_usage(body.get("usage"))
    reply.tool_calls = sum(one.get("type") == "function.call" for one in outputs)


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the events; `conversation.response.done` has the usage."""
    for event in events:
        data = mapping(event.data)
        kind = text(data.get("type")) or event.name or ""
        if kind.endswith(".delta"):
            reply.add_output(event.end, reasoning=mapping(data.get("content")).get("type") == "thinking")
            reply.tool_calls += kind == "function.call.delta"
            reply.model = reply.model or text(data.get("model"))
        elif kind == "conversation.response.started":
            reply.id = text(data.get("conversation_id"))
        elif kind == "conversation.response.done":
            reply.usage = openai_usage(data.get("usage"))
            details.read(data, reply.details)
            reply.done = reply.usage_is_final = True
        elif kind == "conversation.response.error":
            code = data.get("code")
            reply.error_type = str(code) if type(code) is int else text(code) or "error"


def completion(body: Body) -> Completion | None:
    """The texts."""
    values = list(map(mapping, _texts.values(body)))
    outputs = [one for value in values for one in mappings(value.get("outputs"))]
    deltas = [value for value in values if value.get("type") == "message.output.delta"]
    return Completion(texts=("".join(_texts.said(one.get("content")) for one in outputs + deltas),))


API = Api(
    name="mistral.conversations",
    operation_name="chat",
    provider_name="mistral_ai",
    path=r"/conversations(?:/[^/]+)?(?:/restart)?",
    countable=False,
    looks_like=lambda _request, reply: (
        reply.get("object") == "conversation.response" or reply.get("type") == "conversation.response.started"
    ),
    whole=whole,
    streamed=streamed,
    completion=completion,
)
