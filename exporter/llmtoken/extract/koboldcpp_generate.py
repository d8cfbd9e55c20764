"""KoboldCpp's own generation: `POST …/api/v1/generate`, streamed `…/api/extra/generate/stream`.

Counts are beside the text of a whole reply. A stream is bare pieces (`{"token": "Hel"}`) that all repeat the reason why
it ended, or will have, so that the last one's holds; it says no usage and has no end mark.
Source: https://lite.koboldai.net/koboldcpp_api
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import integer, mapping, mappings, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read the results."""
    results = mappings(body.get("results"))
    reply.finish_reasons = [reason for one in results if (reason := text(one.get("finish_reason")))]
    reply.usage = billable(
        input_tokens=total(*(integer(one.get("prompt_tokens")) for one in results)),
        output_tokens=total(*(integer(one.get("completion_tokens")) for one in results)),
    )


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the pieces."""
    for event in events:
        data = mapping(event.data)
        if data.get("token"):
            reply.output_ends.append(event.end)
        reason = text(data.get("finish_reason"))
        reply.finish_reasons = [reason] if reason else []
    reply.finished = bool(reply.finish_reasons)


def prompt(request: Json) -> Prompt | None:
    """The prompt, behind what the server is to remember."""
    asked = request.get("prompt")
    return None if asked is None else _texts.text_prompt([text(request.get("memory")) or "", asked])


def completion(body: Body) -> Completion | None:
    """The text."""
    if body.is_stream:
        return Completion(texts=("".join(_texts.said(mapping(event.data).get("token")) for event in body.events),))
    return Completion(texts=tuple(_texts.said(one.get("text")) for one in mappings(mapping(body.json).get("results"))))


API = Api(
    name="koboldcpp.generate",
    operation_name="text_completion",
    provider_name="koboldcpp",
    path=r"/api/(?:v1|latest)/generate|/api/extra/generate/stream",
    looks_like=lambda request, reply: (
        "prompt" in request and any("text" in one and "prompt_tokens" in one for one in mappings(reply.get("results")))
    ),
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
