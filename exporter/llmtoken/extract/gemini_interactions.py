"""Google's interactions: `POST …/interactions`, and fetching one again.

Source: https://ai.google.dev/api/interactions-api
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply, model_asked_for
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, mapping, mappings, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Message, Prompt, Usage


def interaction_usage(usage: Json) -> Usage:
    """Thoughts and tool use come on top of output and input, as in `usageMetadata`."""
    thoughts = integer(usage.get("total_thought_tokens"))
    return billable(
        input_tokens=total(integer(usage.get("total_input_tokens")), integer(usage.get("total_tool_use_tokens"))),
        output_tokens=total(integer(usage.get("total_output_tokens")), thoughts),
        total_tokens=integer(usage.get("total_tokens")),
        cache_read=integer(usage.get("total_cached_tokens")),
        reasoning=thoughts,
    )


def whole(body: Json, reply: Reply) -> None:
    """Read an `interaction`. Its status stands for the finish reason."""
    reply.id = text(body.get("id"))
    # An agent (deep research, …) answers in the place of a model.
    reply.model = text(body.get("model")) or text(body.get("agent"))
    reply.usage = interaction_usage(mapping(body.get("usage")))
    status = text(body.get("status"))
    reply.finish_reasons = [status] if status else []
    reply.pending = status == "in_progress"
    steps = mappings(body.get("steps")) or mappings(body.get("outputs"))
    reply.tool_calls = sum(step.get("type") == "function_call" for step in steps)
    reply.error_type = error_in(body) or reply.error_type


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the events; `interaction.completed` has the usage, and the others how far it had grown."""
    calls = 0
    for event in events:
        data = mapping(event.data)
        kind = text(data.get("event_type")) or event.name or ""
        if kind in ("step.delta", "content.delta"):
            kind_of = text(mapping(data.get("delta")).get("type")) or ""
            reply.add_output(event.end, reasoning=kind_of.startswith("thought"))
        elif kind in ("step.start", "content.start"):
            calls += (mapping(data.get("step")) or mapping(data.get("content"))).get("type") == "function_call"
        elif kind in ("interaction.completed", "interaction.complete"):
            interaction = mapping(data.get("interaction"))
            whole(interaction, reply)
            details.read(interaction, reply.details)
            reply.done = reply.usage_is_final = True
        elif kind == "error":
            reply.error_type = error_in(data) or "error"
        elif begun := mapping(data.get("interaction")):
            reply.id, reply.model = text(begun.get("id")), text(begun.get("model")) or text(begun.get("agent"))
            reply.pending = bool(begun.get("agent"))  # agents work in the background, whoever listens
        growing = mapping(mapping(data.get("metadata")).get("usage"))
        if growing and not reply.done:
            reply.usage = interaction_usage(growing)
    reply.tool_calls = max(reply.tool_calls, calls)


def prompt(request: Json) -> Prompt | None:
    """The system instruction and the input: a text, or contents, or turns of them."""
    system = _texts.said(request.get("system_instruction"))
    messages = [Message(role="system", text=system)] if system else []
    messages.append(Message(role="user", text=_texts.said(request.get("input"))))
    return Prompt(messages=tuple(messages), tools=_texts.tools(request.get("tools")))


def completion(body: Body) -> Completion | None:
    """The text and the visible thoughts."""
    choices = _texts.Choices()
    for value in _texts.values(body):
        data = mapping(value)
        for step in mappings(data.get("steps")) or mappings(data.get("outputs")):
            add = choices.add_reasoning if step.get("type") == "thought" else lambda piece: choices.add_text(0, piece)
            add(step.get("content") or step.get("text") or step.get("summary"))
        delta = mapping(data.get("delta"))
        if delta.get("type") in ("thought", "thought_summary"):
            choices.add_reasoning(delta.get("content") or delta.get("text"))
        else:
            choices.add_text(0, delta.get("text") or delta.get("arguments"))
    return choices.completion()


API = Api(
    name="gemini.interactions",
    operation_name="generate_content",
    provider_name="gcp.gemini",
    path=r"/interactions",
    looks_like=lambda _request, reply: reply.get("object") == "interaction",
    request_model=lambda exchange: model_asked_for(exchange) or text(mapping(exchange.request.json).get("agent")),
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
RETRIEVE = replace(
    API,
    name="gemini.interactions.retrieve",
    path=r"/interactions/[^/]+(?:/cancel)?",
    methods=frozenset({"GET", "POST"}),
    fetches=True,
    countable=False,
)
