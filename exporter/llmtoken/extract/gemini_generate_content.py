"""Google's generateContent and streamGenerateContent, on AI Studio and Vertex.

Streams are SSE (`alt=sse`) or one JSON array. They have no end marker: the last chunk is the
one with the finish reason.
Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply, model_asked_for
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._google import (
    PARTS,
    answer,
    contents_prompt,
    function_call,
    model_in_path,
    says_all,
    usage_metadata,
    word,
)
from llmtoken.inference import Completion


def whole(body: Json, reply: Reply) -> None:
    """Read a `GenerateContentResponse`."""
    if (plain := answer(body)) is not body:
        body = plain
        details.read(body, reply.details)
    reply.id, reply.model = text(body.get("responseId")), text(body.get("modelVersion"))
    reply.usage = usage_metadata(mapping(body.get("usageMetadata")))
    for candidate in mappings(body.get("candidates")):
        if reason := word(candidate.get("finishReason")):
            reply.finish_reasons.append(reason)
        reply.tool_calls += _calls(_parts(candidate))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold chunks, each of which is a `GenerateContentResponse`.

    Usage grows from chunk to chunk, but a chunk may leave fields out that an earlier one had. They
    hold, unless the later chunk's own counts make up its total: then it says everything.
    A prompt that is blocked gets no candidates at all.
    """
    usage: dict[str, Any] = {}
    finish: dict[int, str] = {}
    seen: set[int] = set()
    blocked = False
    for event in events:
        chunk = answer(event.data)
        for candidate in mappings(chunk.get("candidates")):
            index = candidate.get("index")
            number = index if type(index) is int else 0
            seen.add(number)
            parts = _parts(candidate)
            if any(_output(part) for part in parts):
                reply.add_output(event.end, reasoning=all(part.get("thought") for part in parts if _output(part)))
            if "groundingMetadata" in candidate or "urlContextMetadata" in candidate:
                details.read({"candidates": [candidate]}, reply.details)
            reply.tool_calls += _calls(parts)
            if reason := word(candidate.get("finishReason")):
                finish[number] = reason
        if said := mapping(chunk.get("usageMetadata")):
            if not usage.keys() <= said.keys() and says_all(said):
                usage = {name: count for name, count in usage.items() if name not in PARTS}
            usage.update(said)
            reply.usage_is_final = bool(finish) and seen <= finish.keys()
        blocked = blocked or "blockReason" in mapping(chunk.get("promptFeedback"))
        reply.id = reply.id or text(chunk.get("responseId"))
        reply.model = reply.model or text(chunk.get("modelVersion"))
        if chunk.get("error") or event.name == "error":
            reply.error_type = error_in(chunk) or reply.error_type
    reply.finish_reasons = [finish[index] for index in sorted(finish)]
    reply.finished = (bool(finish) or blocked) and seen <= finish.keys()
    reply.usage = usage_metadata(usage)
    details.read({"usageMetadata": usage}, reply.details)


def _output(part: Json) -> Any:
    """Whether a part is something that was generated; code that the provider runs is written by the model too."""
    return part.get("text") or part.get("inlineData") or part.get("executableCode") or function_call(part)


def _parts(candidate: Json) -> list[dict[str, Any]]:
    return mappings(mapping(candidate.get("content")).get("parts"))


def _calls(parts: list[dict[str, Any]]) -> int:
    return sum("name" in function_call(part) for part in parts)


def completion(body: Body) -> Completion | None:
    """A text per candidate, the visible thoughts and the function calls."""
    choices, calls = _texts.Choices(), 0
    for chunk in _texts.values(body):
        for candidate in mappings(answer(chunk).get("candidates")):
            index = candidate.get("index")
            for part in _parts(candidate):
                if call := function_call(part):
                    calls += "name" in call
                    choices.add_call(calls, call.get("name"), call.get("args") or call.get("partialArgs"))
                elif part.get("thought"):
                    choices.add_reasoning(part.get("text"))
                else:
                    choices.add_text(index if type(index) is int else 0, part.get("text"))
    return choices.completion()


def looks_like(request: Json, reply: Json) -> bool:
    """Candidates with usage metadata out; or contents in and nothing readable out."""
    return "usageMetadata" in reply or "candidates" in reply or ("contents" in request and not reply)


API = Api(
    name="gemini.generateContent",
    operation_name="generate_content",
    provider_name="gcp.gemini",
    path=r":generateContent",
    streams_as=frozenset({"sse", "json_array"}),
    looks_like=looks_like,
    request_model=lambda exchange: model_in_path(exchange) or model_asked_for(exchange),
    whole=whole,
    streamed=streamed,
    prompt=contents_prompt,
    completion=completion,
)
STREAM = replace(API, name="gemini.streamGenerateContent", path=r":streamGenerateContent", looks_like=lambda *_: False)
