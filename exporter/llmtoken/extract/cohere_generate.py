"""Cohere's legacy generate: `POST …/v1/generate`.

Source: https://docs.cohere.com/reference/generate
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract.cohere_chat import cohere_usage
from llmtoken.inference import Completion, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read the generations."""
    reply.id = text(body.get("id"))
    reply.usage = cohere_usage(mapping(body.get("meta")))
    generations = mappings(body.get("generations"))
    reply.finish_reasons = [reason for one in generations if (reason := text(one.get("finish_reason")))]


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the texts; the last event holds the whole reply."""
    for event in events:
        data = mapping(event.data)
        if data.get("is_finished"):
            response = mapping(data.get("response"))
            whole(response, reply)
            details.read(response, reply.details)
            reply.done = reply.usage_is_final = True
        elif data.get("text"):
            reply.output_ends.append(event.end)


def prompt(request: Json) -> Prompt | None:
    """The prompt."""
    return _texts.text_prompt(request.get("prompt"))


def completion(body: Body) -> Completion | None:
    """A text per generation."""
    choices = _texts.Choices()
    for value in map(mapping, _texts.values(body)):
        for number, generation in enumerate(mappings(value.get("generations"))):
            choices.add_text(number, generation.get("text"))
        choices.add_text(0, value.get("text"))
    return choices.completion()


API = Api(
    name="cohere.generate",
    operation_name="text_completion",
    provider_name="cohere",
    path=r"/v1/generate",
    looks_like=lambda _request, reply: "generations" in reply,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
