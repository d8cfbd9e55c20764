"""The demo server's OpenAI responses API.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import itertools
import time
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


class Item(msgspec.Struct):
    """One input item; those that aren't messages have neither role nor content."""

    role: str = "user"
    content: str | list[dict[str, Any]] | None = None


class ResponseRequest(msgspec.Struct, kw_only=True):
    """A request of `/v1/responses`."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    stream: bool | None = None


async def create(request: Request) -> Response:
    """Answer an input."""
    asked = await web.read(request, ResponseRequest)
    web.check_model(asked.model, text.CHAT)
    items = [Item(content=asked.input)] if isinstance(asked.input, str) else asked.input
    messages = [(item.role, web.text_of(item.content)) for item in items]
    if asked.instructions:
        messages.insert(0, ("system", asked.instructions))
    used = text.count_messages(messages)
    reply = text.reply(repr(messages), input_tokens=used, limit=asked.max_output_tokens)
    entry = Entry(
        id=web.identifier("resp"),
        path=request.url.path,
        model=asked.model,
        stream=bool(asked.stream),
        input_tokens=used,
        output_tokens=reply.output_tokens,
    )
    if asked.stream:
        return web.stream(_events(web.tally(request), entry, reply, asked))
    web.tally(request).add(entry)
    return JSONResponse(_response(entry, asked, reply))


ROUTES = (Route("/v1/responses", create, methods=["POST"]),)


async def _events(tally: Tally, entry: Entry, reply: Reply, asked: ResponseRequest) -> AsyncIterator[bytes]:
    numbers = itertools.count()

    def event(kind: str, **fields: Any) -> bytes:
        return web.event({"type": kind, "sequence_number": next(numbers), **fields}, kind)

    item = _message(entry, None)
    begun = _response(entry, asked, None)
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    sent = 0
    try:
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        yield event("response.output_item.added", output_index=0, item=item)
        yield event("response.content_part.added", **place, part=_text(""))
        async for piece in web.paced(reply.pieces):
            sent += 1
            yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
        yield event("response.output_text.done", **place, text=reply.text, logprobs=[])
        yield event("response.content_part.done", **place, part=_text(reply.text))
        yield event("response.output_item.done", output_index=0, item=_message(entry, reply))
        yield event(f"response.{_status(reply)}", response=_response(entry, asked, reply))
    finally:
        tally.add(replace(entry, output_tokens=sent))


def _response(entry: Entry, asked: ResponseRequest, reply: Reply | None) -> dict[str, Any]:
    """The response object; without a reply, as it stands at the beginning."""
    return {
        "id": entry.id,
        "object": "response",
        "created_at": int(time.time()),
        "status": _status(reply),
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if reply and reply.cut else None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "model": asked.model,
        "output": [_message(entry, reply)] if reply else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "usage": _usage(reply) if reply else None,
    }


def _status(reply: Reply | None) -> str:
    if reply is None:
        return "in_progress"
    return "incomplete" if reply.cut else "completed"


def _message(entry: Entry, reply: Reply | None) -> dict[str, Any]:
    content = [_text(reply.text)] if reply else []
    return {
        "id": f"msg-{entry.id}",
        "type": "message",
        "role": "assistant",
        "status": _status(reply),
        "content": content,
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }
