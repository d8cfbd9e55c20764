"""Made-up exchanges with models, as their providers' APIs have them: requests, replies, and the tokens that they tell.

The texts are as long as the tokens say, so that counting them again comes near. Must not know
when they happen, or what becomes of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_SAYING = (
    "the model reads every word of this long question and then it writes an answer that is about as long as people want"
    " it to be so that they can see what it would cost and how fast it is when many others ask at the same time"
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider tells of one call; `None`: it doesn't. `cached` is part of `input`, `reasoning` of `output`."""

    input: int
    output: int
    cached: int | None = None
    reasoning: int | None = None
    per_word: float = 1.0
    """How finely the model's own tokenizer cuts, against the one that counts it again here."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its reply; a stream has several pieces."""

    path: str
    host: str
    request: dict[str, Any]
    pieces: list[str]
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def stream(self) -> bool:
        """Whether the reply comes in pieces."""
        return self.content_type == "text/event-stream"


def _text(count: int, tokens: Tokens) -> str:
    """A text that is about so many tokens to the model."""
    words, many = _SAYING.split(), round(count / tokens.per_word)
    return " ".join((words * (many // len(words) + 1))[:many])


def chat(
    model: str, tokens: Tokens, *, stream: bool = False, told: bool = True, host: str = "api.openai.com"
) -> Exchange:
    """OpenAI's chat completions; `told` is whether the reply carries usage."""
    request = {"model": model, "stream": stream, "messages": [{"role": "user", "content": _text(tokens.input, tokens)}]}
    usage: dict[str, Any] = {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
    }
    if tokens.cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": tokens.cached}
    if tokens.reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": tokens.reasoning}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "model": model}
    said = _text(tokens.output - (tokens.reasoning or 0), tokens)
    headers = {"Openai-Version": "2020-10-01"} if host == "api.openai.com" else {}
    if not stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        reply = {**head, "choices": [choice]} | ({"usage": usage} if told else {})
        return Exchange("/v1/chat/completions", host, request, [json.dumps(reply)], headers=headers)
    head["object"] = "chat.completion.chunk"
    chunks = [{**head, "choices": [{"index": 0, "delta": {"content": text}}]} for text in _split(said)]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if told:
        chunks.append({**head, "choices": [], "usage": usage})
    pieces = [*(_event(chunk) for chunk in chunks), "data: [DONE]\n\n"]
    return Exchange("/v1/chat/completions", host, request, pieces, content_type="text/event-stream", headers=headers)


def messages(model: str, tokens: Tokens) -> Exchange:
    """Anthropic's messages, streamed; what was cached is not in its `input_tokens`."""
    cached = tokens.cached or 0
    usage = {"input_tokens": tokens.input - cached, "cache_read_input_tokens": cached}
    usage["cache_creation_input_tokens"] = 0
    begin = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**begin, "usage": {**usage, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    for text in _split(_text(tokens.output, tokens)):
        delta = {"type": "text_delta", "text": text}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    done = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": tokens.output}}
    events += [{"type": "content_block_stop", "index": 0}, done, {"type": "message_stop"}]
    question = [{"role": "user", "content": _text(tokens.input, tokens)}]
    request = {"model": model, "stream": True, "max_tokens": 4096, "messages": question}
    pieces = [f"event: {event['type']}\n{_event(event)}" for event in events]
    headers = {"Anthropic-Organization-Id": "made-up"}
    return Exchange(
        "/v1/messages", "api.anthropic.com", request, pieces, content_type="text/event-stream", headers=headers
    )


def generate(model: str, tokens: Tokens) -> Exchange:
    """Gemini's generateContent; what went into thoughts is not in its candidates' tokens."""
    thoughts = tokens.reasoning or 0
    usage = {
        "promptTokenCount": tokens.input,
        "cachedContentTokenCount": tokens.cached or 0,
        "candidatesTokenCount": tokens.output - thoughts,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": tokens.input + tokens.output,
    }
    content = {"role": "model", "parts": [{"text": _text(tokens.output - thoughts, tokens)}]}
    candidate = {"content": content, "finishReason": "STOP", "index": 0}
    reply = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "made-up"}
    request = {"contents": [{"role": "user", "parts": [{"text": _text(tokens.input, tokens)}]}]}
    path = f"/v1beta/models/{model}:generateContent"
    return Exchange(path, "generativelanguage.googleapis.com", request, [json.dumps(reply)])


def refused(asked: Exchange, status: int, kind: str) -> Exchange:
    """The same request, answered with an error."""
    reply = {"error": {"type": kind, "code": kind, "message": "made up"}}
    return Exchange(asked.path, asked.host, asked.request, [json.dumps(reply)], status=status, headers=asked.headers)


def _split(text: str) -> list[str]:
    """Pieces of some words, at most a hundred."""
    parts = text.split(" ")
    size = -(-len(parts) // 100)
    return [" ".join(parts[place : place + size]) + " " for place in range(0, len(parts), size)]


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
