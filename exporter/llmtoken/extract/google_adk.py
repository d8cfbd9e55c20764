"""Agents made with Google's ADK: `POST …/run_sse` and `/run` of its server, `…:streamQuery` of Vertex's Agent Engine.

An agent asks its models many times for one answer. Every event that one of them made says its usage; they are added
up. With token streaming, partial events come first and one with the whole after them, so partial ones count only
where the stream was left before that. Nothing is estimated: what the models were given stays with the agent.
Source: https://google.github.io/adk-docs/runtime/api-server/ and
https://cloud.google.com/vertex-ai/generative-ai/docs/agent-engine/use/adk
"""

from __future__ import annotations

from typing import Any

from llmtoken.exchange import Event
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._google import answer, function_call, usage_metadata, word
from llmtoken.extract.anthropic_batches import add_up
from llmtoken.inference import Usage


def _first(event: Json, *names: str) -> Any:
    """A field in either spelling: the server writes `invocationId`, Agent Engine `invocation_id`."""
    return next((event[name] for name in names if event.get(name) is not None), None)


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Add up the events; there is no end mark."""
    usages, models, unfinished = [], set(), Usage()
    for event in events:
        data = answer(event.data)
        reply.id = reply.id or text(_first(data, "invocationId", "invocation_id"))
        reply.error_type = error_in(data) or text(_first(data, "errorCode", "error_code")) or reply.error_type
        parts = mappings(mapping(data.get("content")).get("parts"))
        if said := [part for part in parts if part.get("text")]:
            reply.add_output(event.end, reasoning=all(part.get("thought") for part in said))
        usage = usage_metadata(mapping(data.get("usageMetadata")))
        if data.get("partial"):
            unfinished = usage if usage.known else unfinished
            reply.finished = False
            continue
        if usage.known:
            usages.append(usage)
            unfinished = Usage()
        models.add(text(data.get("modelVersion")))
        calls = sum(bool(function_call(part)) for part in parts)
        reply.tool_calls += calls
        reason = word(_first(data, "finishReason", "finish_reason"))
        reply.finish_reasons = [reason] if reason else reply.finish_reasons
        reply.finished = bool(said) and not calls
    models.discard(None)
    reply.model = models.pop() if len(models) == 1 else None
    reply.usage = add_up([*usages, unfinished])


def whole(body: Json, reply: Reply) -> None:
    """Read an answer of a single event; other agents' have no usage that we know."""
    streamed((Event(body),), reply)


API = Api(
    name="google.adk",
    operation_name="invoke_agent",
    path=r"/run_sse|/reasoningEngines/[^/:]+:(?:streamQuery|query)",
    countable=False,
    looks_like=lambda _request, reply: "author" in reply and ("invocationId" in reply or "invocation_id" in reply),
    request_model=lambda _exchange: None,
    whole=whole,
    streamed=streamed,
)
