"""Anthropic's legacy text completions: `POST …/v1/complete`. They never say their usage.

Source: https://docs.anthropic.com/en/api/complete
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, text
from llmtoken.inference import Completion, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read a `completion`."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    reason = text(body.get("stop_reason"))
    reply.finish_reasons = [reason] if reason else []


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the pieces; the last one has the stop reason."""
    for event in events:
        data = mapping(event.data)
        if data.get("completion"):
            reply.output_ends.append(event.end)
        if text(data.get("stop_reason")):
            reply.done = True
        if data.get("type") == "completion":
            whole(data, reply)
        if event.name == "error" or data.get("error"):
            reply.error_type = error_in(data) or "error"


def prompt(request: Json) -> Prompt | None:
    """The prompt."""
    return _texts.text_prompt(request.get("prompt"))


def completion(body: Body) -> Completion | None:
    """The text."""
    return Completion(texts=("".join(_texts.said(mapping(v).get("completion")) for v in _texts.values(body)),))


API = Api(
    name="anthropic.complete",
    operation_name="text_completion",
    provider_name="anthropic",
    path=r"/v1/complete",
    looks_like=lambda _request, reply: reply.get("type") == "completion",
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
