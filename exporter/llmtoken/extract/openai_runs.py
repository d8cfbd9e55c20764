"""Runs of OpenAI's assistants: made, polled until they are done, or streamed.

A run says its usage once it has ended; it is counted by its id, and nothing is estimated,
because what the model was given stays at the provider.
Source: https://platform.openai.com/docs/api-reference/runs
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.exchange import Event
from llmtoken.extract import details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import openai_usage

PENDING = ("queued", "in_progress", "requires_action", "cancelling")


def whole(body: Json, reply: Reply) -> None:
    """Read a `thread.run`. Its status stands for the finish reason."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    reply.usage = openai_usage(body.get("usage"))
    status = text(body.get("status"))
    reply.finish_reasons = [status] if status else []
    reply.pending = status in PENDING
    wanted = mapping(mapping(body.get("required_action")).get("submit_tool_outputs"))
    reply.tool_calls = len(mappings(wanted.get("tool_calls")))
    failure = mapping(body.get("last_error"))
    reply.error_type = text(failure.get("code")) or reply.error_type


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the events; each `thread.run.…` holds the run as it stands."""
    for event in events:
        kind, data = event.name or "", mapping(event.data)
        if kind == "thread.message.delta":
            reply.output_ends.append(event.end)
        elif kind == "error":
            reply.error_type = error_in(data) or text(data.get("code")) or "error"
        elif data.get("object") == "thread.run":
            whole(data, reply)
            details.read(data, reply.details)
            reply.usage_is_final = reply.usage.known
        reply.done = reply.done or kind == "done" or event.data == "[DONE]"


API = Api(
    name="openai.assistants.runs",
    operation_name="invoke_agent",
    provider_name="openai",
    path=r"/threads/(?:[^/]+/)?runs(?:/[^/]+/submit_tool_outputs)?",
    countable=False,
    looks_like=lambda _request, reply: reply.get("object") == "thread.run",
    whole=whole,
    streamed=streamed,
)
RETRIEVE = replace(API, path=r"/threads/[^/]+/runs/[^/]+(?:/cancel)?", methods=frozenset({"GET", "POST"}), fetches=True)
