"""The demo server's OpenAI API, but for responses: chat, completions, embeddings, models.

Source: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llmtoken.demo_server import text, web
from llmtoken.demo_server.tally import Entry, Tally
from llmtoken.demo_server.text import Reply

Input = str | list[str | int | list[int]]
"""A text, texts, a list of tokens, or lists of tokens."""

Limit = Annotated[int, msgspec.Meta(ge=1)] | None


class StreamOptions(msgspec.Struct):
    """How to stream."""

    include_usage: bool = False


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class Generation(msgspec.Struct, kw_only=True):
    """What chat and completions have in common."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Limit = None
    max_completion_tokens: Limit = None
    n: Annotated[int, msgspec.Meta(ge=1, le=1)] | None = None

    @property
    def limit(self) -> int | None:
        """The most tokens that the reply may have."""
        return self.max_completion_tokens or self.max_tokens


class ChatRequest(Generation, kw_only=True):
    """A request of `/v1/chat/completions`."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]


class CompletionRequest(Generation, kw_only=True):
    """A request of `/v1/completions`."""

    prompt: Input


class EmbeddingRequest(msgspec.Struct):
    """A request of `/v1/embeddings`."""

    model: str
    input: Input
    encoding_format: str | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None


async def chat(request: Request) -> Response:
    """Answer a conversation."""
    asked = await web.read(request, ChatRequest)
    web.check_model(asked.model, text.CHAT)
    messages = [(message.role, web.text_of(message.content)) for message in asked.messages]
    reply = text.reply(repr(messages), input_tokens=text.count_messages(messages), limit=asked.limit)
    return _answer(request, asked, reply, _CHAT)


async def completions(request: Request) -> Response:
    """Continue a text."""
    asked = await web.read(request, CompletionRequest)
    web.check_model(asked.model, text.CHAT)
    tokens = sum(map(_count, _inputs(asked.prompt)))
    reply = text.reply(repr(asked.prompt), input_tokens=tokens, limit=asked.limit)
    return _answer(request, asked, reply, _COMPLETION)


async def embeddings(request: Request) -> Response:
    """Turn texts into vectors."""
    asked = await web.read(request, EmbeddingRequest)
    web.check_model(asked.model, text.EMBEDDING)
    inputs = _inputs(asked.input)
    used = sum(map(_count, inputs))
    vectors = [text.vector(str(given), asked.dimensions or 256) for given in inputs]
    # The official SDK asks for base64, whatever its caller wants.
    written = map(_base64, vectors) if asked.encoding_format == "base64" else vectors
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(written)]
    web.tally(request).add(Entry(id=None, path=request.url.path, model=asked.model, input_tokens=used))
    usage = {"prompt_tokens": used, "total_tokens": used}
    return JSONResponse({"object": "list", "data": data, "model": asked.model, "usage": usage})


async def models(_: Request) -> Response:
    """List the models."""
    return JSONResponse({"object": "list", "data": list(web.models())})


ROUTES = (
    Route("/v1/chat/completions", chat, methods=["POST"]),
    Route("/v1/completions", completions, methods=["POST"]),
    Route("/v1/embeddings", embeddings, methods=["POST"]),
    Route("/v1/models", models),
)


@dataclass(frozen=True, slots=True)
class _Form:
    """How chat and completions write the same reply differently."""

    prefix: str
    whole: str
    chunk: str
    opening: dict[str, Any] | None
    """What a stream begins with."""
    choice: Callable[[str], dict[str, Any]]
    part: Callable[[str], dict[str, Any]]
    closing: dict[str, Any]


_CHAT = _Form(
    prefix="chatcmpl",
    whole="chat.completion",
    chunk="chat.completion.chunk",
    opening={"delta": {"role": "assistant", "content": ""}},
    choice=lambda text: {"message": {"role": "assistant", "content": text, "refusal": None}},
    part=lambda piece: {"delta": {"content": piece}},
    closing={"delta": {}},
)
_COMPLETION = _Form(
    prefix="cmpl",
    whole="text_completion",
    chunk="text_completion",
    opening=None,
    choice=lambda text: {"text": text},
    part=lambda piece: {"text": piece},
    closing={"text": ""},
)


def _answer(request: Request, asked: Generation, reply: Reply, form: _Form) -> Response:
    entry = Entry(
        id=web.identifier(form.prefix),
        path=request.url.path,
        model=asked.model,
        stream=bool(asked.stream),
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
    )
    envelope = {
        "id": entry.id,
        "created": int(time.time()),
        "model": asked.model,
        "system_fingerprint": "llmtoken-demo",
    }
    if asked.stream:
        told = bool(asked.stream_options and asked.stream_options.include_usage)
        entry = replace(entry, usage_told=told)
        return web.stream(_events(web.tally(request), entry, reply, form, {**envelope, "object": form.chunk}))
    web.tally(request).add(entry)
    choice = {"index": 0, **form.choice(reply.text), "logprobs": None, "finish_reason": _finish(reply)}
    return JSONResponse({**envelope, "object": form.whole, "choices": [choice], "usage": _usage(reply)})


async def _events(
    tally: Tally, entry: Entry, reply: Reply, form: _Form, envelope: dict[str, Any]
) -> AsyncIterator[bytes]:
    # Where usage is asked for, every chunk but the last has it as null. Source: stream_options in the API reference.
    rest: dict[str, Any] = {"usage": None} if entry.usage_told else {}

    def chunk(part: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, **part, "logprobs": None, "finish_reason": finish_reason}
        return web.event({**envelope, "choices": [choice], **rest})

    sent = 0
    try:
        if form.opening:
            yield chunk(form.opening)
        async for piece in web.paced(reply.pieces):
            sent += 1
            yield chunk(form.part(piece))
        yield chunk(form.closing, _finish(reply))
        if entry.usage_told:
            yield web.event({**envelope, "choices": [], "usage": _usage(reply)})
        yield b"data: [DONE]\n\n"
    finally:
        tally.add(replace(entry, output_tokens=sent))


def _finish(reply: Reply) -> str:
    return "length" if reply.cut else "stop"


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.input_tokens + reply.output_tokens
    return {"prompt_tokens": reply.input_tokens, "completion_tokens": reply.output_tokens, "total_tokens": total}


def _inputs(given: Input) -> list[str | list[int]]:
    """Texts or token lists, one for each thing asked."""
    if isinstance(given, str):
        return [given]
    tokens = [item for item in given if isinstance(item, int)]
    return [tokens] if tokens else [item for item in given if not isinstance(item, int)]


def _count(given: str | list[int]) -> int:
    return text.count(given) if isinstance(given, str) else len(given)


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
