"""Agents made with Google's ADK: `POST …/run_sse` and `/run` of its server, `…:streamQuery` of Vertex's Agent Engine.

An agent asks its models many times for one answer. Every event that one of them made says its usage; they are added
up. Where models stream, partial events come first and one with the whole after them, so partial ones count only where
the stream was left before that; and a call may end in several events, text and tool calls, which all repeat its usage.
Nothing is estimated: what the models were given stays with the agent.
Source: https://google.github.io/adk-docs/runtime/api-server/ and
https://cloud.google.com/vertex-ai/generative-ai/docs/agent-engine/use/adk
"""

from __future__ import annotations

from typing import Any

from llmtoken.exchange import Event
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import agreed, mapping, mappings, text
from llmtoken.extract._google import answer, function_call, usage_metadata, word
from llmtoken.inference import Usage, add_up


def _first(event: Json, *names: str) -> Any:
    """A field in either spelling: the server writes `invocationId`, Agent Engine `invocation_id`."""
    return next((event[name] for name in names if event.get(name) is not None), None)


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Add up the events; there is no end mark."""
    usages: list[tuple[Any, Usage]] = []
    models, unfinished, streams = set(), Usage(), False
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
            reply.finished, streams = False, True
            continue
        if usage.known:
            usages.append((data.get("author"), usage))
            unfinished = Usage()
        models.add(text(data.get("modelVersion")))
        reply.tool_calls += sum(bool(function_call(part)) for part in parts)
        reason = word(_first(data, "finishReason", "finish_reason"))
        reply.finish_reasons = [reason] if reason else reply.finish_reasons
        reply.finished = True
    reply.model = agreed(models)
    reply.usage = add_up([*(_calls(usages) if streams else (usage for _, usage in usages)), unfinished])


def _calls(usages: list[tuple[Any, Usage]]) -> list[Usage]:
    """The last usage of each call: one by the same agent, of the same input, that doesn't shrink, is the same call."""
    calls: list[Usage] = []
    latest: dict[str, int] = {}
    for author, usage in usages:
        number = latest.get(str(author))
        before = Usage() if number is None else calls[number]
        grows = (usage.output_tokens or 0) >= (before.output_tokens or 0)
        if number is not None and before.input_tokens == usage.input_tokens and grows:
            calls[number] = usage
        else:
            latest[str(author)] = len(calls)
            calls.append(usage)
    return calls


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
