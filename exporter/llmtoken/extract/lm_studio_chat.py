"""LM Studio's own chat: `POST …/api/v1/chat`, whole and streamed. Its `stats` say the tokens.

OpenAI-like servers are mounted at paths that end alike; the reply tells them apart.
Source: https://lmstudio.ai/docs/developer/rest/chat and …/rest/streaming-events
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, mapping, mappings, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read a reply; the model's instance stands for the model."""
    reply.id, reply.model = text(body.get("response_id")), text(body.get("model_instance_id"))
    stats = mapping(body.get("stats"))
    reply.usage = billable(
        input_tokens=integer(stats.get("input_tokens")),
        output_tokens=integer(stats.get("total_output_tokens")),
        reasoning=integer(stats.get("reasoning_output_tokens")),
    )


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold `message.delta` and `reasoning.delta`; `chat.end` holds the whole reply."""
    for event in events:
        data = mapping(event.data)
        kind = text(data.get("type")) or event.name or ""
        if kind.endswith(".delta"):
            reply.add_output(event.end, reasoning=kind == "reasoning.delta")
        elif kind == "chat.start":
            reply.model = text(data.get("model_instance_id"))
        elif kind == "chat.end":
            whole(mapping(data.get("result")), reply)
            reply.done = reply.usage_is_final = True
        elif kind == "error":
            reply.error_type = error_in(data) or "error"


def prompt(request: Json) -> Prompt | None:
    """The system prompt and the input: a text, or items."""
    return Prompt(texts=tuple(filter(None, (_texts.said(request.get(name)) for name in ("system_prompt", "input")))))


def completion(body: Body) -> Completion | None:
    """The messages and the visible reasoning."""
    events = [mapping(event.data) for event in body.events]
    ends = [mapping(data.get("result")) for data in events if data.get("type") == "chat.end"]
    choices = _texts.Choices()
    for item in mappings(mapping(body.json if body.framing == "json" else ends[-1] if ends else None).get("output")):
        _add(choices, text(item.get("type")) or "", item.get("content"))
    if not ends:
        for data in events:
            kind, _, part = (text(data.get("type")) or "").rpartition(".")
            _add(choices, kind if part == "delta" else "", data.get("content"))
    return choices.completion()


def _add(choices: _texts.Choices, kind: str, piece: object) -> None:
    if kind == "message":
        choices.add_text(0, piece)
    elif kind == "reasoning":
        choices.add_reasoning(piece)


API = Api(
    name="lm_studio.chat",
    operation_name="chat",
    provider_name="lm_studio",
    path=r"/api/v1/chat",
    looks_like=lambda _request, reply: "model_instance_id" in reply,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
