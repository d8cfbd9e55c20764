"""OpenAI's legacy completions: `POST …/completions`, spoken by vLLM, llama.cpp and Together too.

Writer streams bare pieces (`{"value": "Hel"}`) instead of choices, without an end or a usage.
Source: https://platform.openai.com/docs/api-reference/completions and
https://dev.writer.com/api-reference/completion-api/text-generation
"""

from __future__ import annotations

from typing import Any

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._chunks import fold
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import openai_usage
from llmtoken.inference import Completion, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read a `text_completion`."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    reply.usage = openai_usage(body.get("usage"))
    choices = mappings(body.get("choices"))
    reply.finish_reasons = [reason for choice in choices if (reason := text(choice.get("finish_reason")))]


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold a stream of `text_completion`s."""
    fold(events, reply, lambda _index, choice: choice.get("text"))
    if not reply.output_ends and (bare := [event.end for event in events if _bare(event.data)]):
        reply.output_ends = bare
        reply.finished = reply.error_type is None


def _bare(chunk: Any) -> str | None:
    return None if "choices" in mapping(chunk) else text(mapping(chunk).get("value"))


def prompt(request: Json) -> Prompt | None:
    """`prompt`, in any of its forms, and the suffix of an insertion."""
    asked = _texts.text_prompt(request.get("prompt"))
    suffix = text(request.get("suffix"))
    return Prompt(texts=(*asked.texts, suffix), token_count=asked.token_count) if suffix else asked


def completion(body: Body) -> Completion | None:
    """A text per choice."""
    choices = _texts.Choices()
    for chunk in _texts.values(body):
        for choice in mappings(mapping(chunk).get("choices")):
            index = choice.get("index")
            choices.add_text(index if type(index) is int else 0, choice.get("text"))
        choices.add_text(0, _bare(chunk))
    return choices.completion()


def looks_like(request: Json, reply: Json) -> bool:
    """Choices with a text; or a prompt in and nothing readable out."""
    if reply.get("object") == "text_completion":
        return True
    if choices := mappings(reply.get("choices")):
        return "text" in choices[0]
    return "prompt" in request and "model" in request and not reply


API = Api(
    name="openai.completions",
    operation_name="text_completion",
    path=r"(?<!/chat)(?<!/fim)(?<!/agents)/completions",
    looks_like=looks_like,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
