"""The demo server's Anthropic API: messages and count_tokens.

Source: https://docs.anthropic.com/en/api/messages, https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llmtoken.demo_server import text, web
from llmtoken.demo_server.tally import Entry, Tally
from llmtoken.demo_server.text import Reply


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: str
    content: str | list[dict[str, Any]]


class CountRequest(msgspec.Struct, kw_only=True):
    """A request of `/v1/messages/count_tokens`."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    system: str | list[dict[str, Any]] | None = None

    def conversation(self) -> list[tuple[str, str]]:
        """The messages as `(role, text)`, the system's first."""
        system = [("system", web.text_of(self.system))] if self.system else []
        return system + [(message.role, web.text_of(message.content)) for message in self.messages]


class MessagesRequest(CountRequest, kw_only=True):
    """A request of `/v1/messages`."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)]
    stream: bool | None = None


async def messages(request: Request) -> Response:
    """Answer a conversation."""
    asked = await web.read(request, MessagesRequest)
    web.check_model(asked.model, text.CHAT)
    conversation = asked.conversation()
    used = text.count_messages(conversation)
    reply = text.reply(repr(conversation), input_tokens=used, limit=asked.max_tokens)
    entry = Entry(
        id=web.identifier("msg"),
        path=request.url.path,
        model=asked.model,
        stream=bool(asked.stream),
        input_tokens=used,
        output_tokens=reply.output_tokens,
    )
    if asked.stream:
        return web.stream(_events(web.tally(request), entry, reply))
    web.tally(request).add(entry)
    whole = _message(entry, [{"type": "text", "text": reply.text}], _stop(reply), reply.output_tokens)
    return JSONResponse(whole)


async def count_tokens(request: Request) -> Response:
    """Count a conversation's tokens; this uses none."""
    asked = await web.read(request, CountRequest)
    web.check_model(asked.model, text.CHAT)
    web.tally(request).add(Entry(id=None, path=request.url.path, model=asked.model, usage_told=False))
    return JSONResponse({"input_tokens": text.count_messages(asked.conversation())})


ROUTES = (
    Route("/v1/messages", messages, methods=["POST"]),
    Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
)


async def _events(tally: Tally, entry: Entry, reply: Reply) -> AsyncIterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return web.event({"type": kind, **fields}, kind)

    sent = 0
    try:
        yield event("message_start", message=_message(entry, [], None, 1))
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield event("ping")
        async for piece in web.paced(reply.pieces):
            sent += 1
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        yield event("content_block_stop", index=0)
        stop = {"stop_reason": _stop(reply), "stop_sequence": None}
        yield event("message_delta", delta=stop, usage={"output_tokens": reply.output_tokens})
        yield event("message_stop")
    finally:
        tally.add(replace(entry, output_tokens=sent))


def _message(entry: Entry, content: list[dict[str, Any]], stop: str | None, output_tokens: int) -> dict[str, Any]:
    return {
        "id": entry.id,
        "type": "message",
        "role": "assistant",
        "model": entry.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": entry.input_tokens, "output_tokens": output_tokens},
    }


def _stop(reply: Reply) -> str:
    return "max_tokens" if reply.cut else "end_turn"
