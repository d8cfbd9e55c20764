"""Ollama's own chat: `POST …/api/chat`, NDJSON when it streams.

The last object has `done` and the counts. `prompt_eval_count` is missing when the whole
prompt came from the cache of the last call.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._chunks import thought_aloud
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, items, mapping, mappings, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Image, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read the (last) object of a chat or a generation."""
    reply.model = text(body.get("model"))
    reply.usage = billable(
        input_tokens=integer(body.get("prompt_eval_count")), output_tokens=integer(body.get("eval_count"))
    )
    reason = text(body.get("done_reason"))
    reply.finish_reasons = [reason] if reason else []
    reply.tool_calls = len(mappings(mapping(body.get("message")).get("tool_calls")))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the objects of a chat or a generation."""
    calls = 0
    for event in events:
        data = mapping(event.data)
        message = mapping(data.get("message"))
        calls += len(mappings(message.get("tool_calls")))
        if message.get("content") or message.get("tool_calls") or data.get("response"):
            reply.output_ends.append(event.end)
        elif message.get("thinking") or data.get("thinking"):
            reply.add_output(event.end, reasoning=True)
        if data.get("done") is True:
            whole(data, reply)
            details.read(data, reply.details)
            reply.done = reply.usage_is_final = True
        reply.model = reply.model or text(data.get("model"))
        reply.error_type = error_in(data) or reply.error_type
    reply.tool_calls = calls
    reply.reasoned = reply.reasoned or thought_aloud(_contents(events))


def _contents(events: tuple[Event, ...]) -> Iterator[str]:
    for data in (mapping(event.data) for event in events):
        content = mapping(data.get("message")).get("content") or data.get("response")
        if content and type(content) is str:
            yield content


def prompt(request: Json) -> Prompt | None:
    """Messages, with their images beside the text, tools and the wanted format."""
    asked = _texts.chat_prompt(request)
    given = [
        tuple(Image(source=image) for image in items(message.get("images")) if type(image) is str)
        for message in mappings(request.get("messages"))
    ]
    return replace(
        asked,
        messages=tuple(replace(message, images=found) for message, found in zip(asked.messages, given, strict=True)),
        response_schema=mapping(request.get("format")) or None,
    )


def completion(body: Body) -> Completion | None:
    """The text, the visible thinking and the tool calls."""
    choices = _texts.Choices()
    for value in map(mapping, _texts.values(body)):
        message = mapping(value.get("message"))
        choices.add_text(0, message.get("content") or value.get("response"))
        choices.add_reasoning(message.get("thinking") or value.get("thinking"))
        for call in _texts.tool_calls(message.get("tool_calls")):
            choices.add_call(object(), call.name, call.arguments)
    return choices.completion()


API = Api(
    name="ollama.chat",
    operation_name="chat",
    provider_name="ollama",
    path=r"/api/chat",
    looks_like=lambda _request, reply: "done" in reply and "message" in reply,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
