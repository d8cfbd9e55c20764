"""One call of every kind, made with the provider's own SDK, and what the client saw of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

MODEL = "tiny"
TOKENS = 12
"""How long replies are at most. The model never wants to end earlier."""


@dataclass
class Seen:
    """What the client knows afterwards. Usage is what the reply said, `None` where it said nothing."""

    sent: float = 0.0
    """Just before the request, on this machine's monotonic clock, in seconds."""
    ended: float = 0.0
    """When the reply was whole."""
    pieces: list[float] = field(default_factory=list)
    """When each piece of a streamed text came."""
    text: str = ""
    response_id: str | None = None
    input: int | None = None
    """As the API has it: Anthropic leaves out what came from the cache."""
    output: int | None = None
    cached: int | None = None

    def piece(self, text: str | None) -> None:
        """Note a piece of text."""
        if text:
            self.pieces.append(time.monotonic())
            self.text += text


Driver = Callable[[str, str, Seen], None]
"""Makes a call to a base URL with a prompt and fills in what it saw."""


@dataclass(frozen=True)
class Kind:
    """A kind of call: its name, how to make it, and what the row should say about it."""

    name: str
    call: Driver
    path: str
    operation: str
    stream: bool = False


def make(kind: Kind, base_url: str, prompt: str) -> Seen:
    """Make a call and time it."""
    seen = Seen(sent=time.monotonic())
    kind.call(base_url, prompt, seen)
    seen.ended = time.monotonic()
    return seen


def _openai(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base_url}/v1", api_key="not-a-secret", max_retries=0, timeout=60)


def _anthropic(base_url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=base_url, api_key="not-a-secret", max_retries=0, timeout=60)


def _messages(prompt: str) -> Any:
    return [{"role": "system", "content": "You are a licence."}, {"role": "user", "content": prompt}]


def _openai_usage(usage: Any, seen: Seen) -> None:
    """Chat's, completions' and embeddings' usage, or responses'."""
    seen.input = getattr(usage, "prompt_tokens", None) or getattr(usage, "input_tokens", None)
    seen.output = getattr(usage, "completion_tokens", None) or getattr(usage, "output_tokens", None)
    details = getattr(usage, "prompt_tokens_details", None) or getattr(usage, "input_tokens_details", None)
    seen.cached = getattr(details, "cached_tokens", None)


# ── OpenAI ──────────────────────────────────────────────────────────────────────────────


def chat(base_url: str, prompt: str, seen: Seen) -> None:
    with _openai(base_url) as client:
        reply = client.chat.completions.create(
            model=MODEL, messages=_messages(prompt), max_tokens=TOKENS, temperature=0
        )
    seen.response_id = reply.id
    seen.text = reply.choices[0].message.content or ""
    _openai_usage(reply.usage, seen)


def chat_streamed(base_url: str, prompt: str, seen: Seen, **options: Any) -> None:
    with (
        _openai(base_url) as client,
        client.chat.completions.create(
            model=MODEL, messages=_messages(prompt), max_tokens=TOKENS, temperature=0, stream=True, **options
        ) as stream,
    ):
        for chunk in stream:
            seen.response_id = chunk.id
            for choice in chunk.choices:
                seen.piece(choice.delta.content)
            if chunk.usage:
                _openai_usage(chunk.usage, seen)


def chat_streamed_with_usage(base_url: str, prompt: str, seen: Seen) -> None:
    chat_streamed(base_url, prompt, seen, stream_options={"include_usage": True})


def completions(base_url: str, prompt: str, seen: Seen) -> None:
    with _openai(base_url) as client:
        reply = client.completions.create(model=MODEL, prompt=prompt, max_tokens=TOKENS, temperature=0)
    seen.response_id = reply.id
    seen.text = reply.choices[0].text
    _openai_usage(reply.usage, seen)


def completions_streamed(base_url: str, prompt: str, seen: Seen, **options: Any) -> None:
    with (
        _openai(base_url) as client,
        client.completions.create(
            model=MODEL, prompt=prompt, max_tokens=TOKENS, temperature=0, stream=True, **options
        ) as stream,
    ):
        for chunk in stream:
            seen.response_id = chunk.id
            for choice in chunk.choices:
                seen.piece(choice.text)
            if chunk.usage:
                _openai_usage(chunk.usage, seen)


def completions_streamed_with_usage(base_url: str, prompt: str, seen: Seen) -> None:
    completions_streamed(base_url, prompt, seen, stream_options={"include_usage": True})


def embeddings(base_url: str, prompt: str, seen: Seen) -> None:
    with _openai(base_url) as client:
        reply = client.embeddings.create(model=MODEL, input=[prompt, "and more"])
    _openai_usage(reply.usage, seen)


def responses(base_url: str, prompt: str, seen: Seen) -> None:
    with _openai(base_url) as client:
        reply = client.responses.create(model=MODEL, input=prompt, max_output_tokens=TOKENS, temperature=0)
    seen.response_id = reply.id
    seen.text = reply.output_text
    _openai_usage(reply.usage, seen)


def responses_streamed(base_url: str, prompt: str, seen: Seen) -> None:
    with (
        _openai(base_url) as client,
        client.responses.create(
            model=MODEL, input=prompt, max_output_tokens=TOKENS, temperature=0, stream=True
        ) as stream,
    ):
        for event in stream:
            if event.type == "response.output_text.delta":
                seen.piece(event.delta)
            elif event.type == "response.completed":
                seen.response_id = event.response.id
                _openai_usage(event.response.usage, seen)


# ── Anthropic ───────────────────────────────────────────────────────────────────────────

_ALWAYS_THE_SAME = {"temperature": 0}
"""Newer versions of the SDK have no parameter for it."""


def messages(base_url: str, prompt: str, seen: Seen) -> None:
    with _anthropic(base_url) as client:
        reply = client.messages.create(
            model=MODEL, max_tokens=TOKENS, messages=[{"role": "user", "content": prompt}], extra_body=_ALWAYS_THE_SAME
        )
    _message(reply, seen)


def messages_streamed(base_url: str, prompt: str, seen: Seen) -> None:
    with (
        _anthropic(base_url) as client,
        client.messages.stream(
            model=MODEL, max_tokens=TOKENS, messages=[{"role": "user", "content": prompt}], extra_body=_ALWAYS_THE_SAME
        ) as stream,
    ):
        for text in stream.text_stream:
            seen.piece(text)
        _message(stream.get_final_message(), seen)


def _message(reply: anthropic.types.Message, seen: Seen) -> None:
    seen.response_id = reply.id
    seen.text = "".join(block.text for block in reply.content if block.type == "text")
    seen.input, seen.output = reply.usage.input_tokens, reply.usage.output_tokens
    seen.cached = reply.usage.cache_read_input_tokens


KINDS = (
    Kind("chat", chat, "/v1/chat/completions", "chat"),
    Kind("chat streamed", chat_streamed, "/v1/chat/completions", "chat", stream=True),
    Kind("chat streamed with usage", chat_streamed_with_usage, "/v1/chat/completions", "chat", stream=True),
    Kind("completions", completions, "/v1/completions", "text_completion"),
    Kind("completions streamed", completions_streamed, "/v1/completions", "text_completion", stream=True),
    Kind(
        "completions streamed with usage",
        completions_streamed_with_usage,
        "/v1/completions",
        "text_completion",
        stream=True,
    ),
    Kind("embeddings", embeddings, "/v1/embeddings", "embeddings"),
    Kind("responses", responses, "/v1/responses", "chat"),
    Kind("responses streamed", responses_streamed, "/v1/responses", "chat", stream=True),
    Kind("messages", messages, "/v1/messages", "chat"),
    Kind("messages streamed", messages_streamed, "/v1/messages", "chat", stream=True),
)
"""Every API that llama.cpp and we both speak, streamed and not, with and without usage asked for."""
