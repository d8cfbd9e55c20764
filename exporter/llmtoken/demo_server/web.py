"""What the demo server's APIs share: reading requests, refusing them, writing events, pacing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from llmtoken.demo_server.tally import Tally
from llmtoken.demo_server.text import MODELS

FIRST_TOKEN = 0.05
"""Seconds of pretended thinking before the first token."""
NEXT_TOKEN = 0.01
"""Seconds between tokens: about as fast as a small model."""

T = TypeVar("T")


class Refusal(Exception):
    """A request that gets an error reply."""

    def __init__(self, status: int, kind: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code


async def read(request: Request, kind: type[T]) -> T:
    """Read the request's JSON. Raises `Refusal` (400) where it isn't JSON, or isn't what the API takes."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "invalid_request_error", f"The request is wrong: {error}") from error


def check_model(model: str, *expected: str) -> None:
    """Raise `Refusal` (404) unless it is a model that this endpoint has."""
    if model not in expected:
        offer = " or ".join(expected)
        raise Refusal(404, "not_found_error", f"The model {model!r} isn't here: use {offer}", "model_not_found")


def tally(request: Request) -> Tally:
    """The server's books."""
    books = request.app.state.tally
    assert isinstance(books, Tally)  # noqa: S101 - create_app puts it there
    return books


def identifier(prefix: str) -> str:
    """A reply's id: unique, because replies are counted once by it."""
    return f"{prefix}-demo-{uuid.uuid4().hex}"


def text_of(content: str | list[dict[str, Any]] | None) -> str:
    """The text of a message's content, in any API's form; images and the like count nothing here."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content or ""


async def paced(pieces: tuple[str, ...]) -> AsyncIterator[str]:
    """The pieces of a reply at a model's pace."""
    for number, piece in enumerate(pieces):
        await asyncio.sleep(NEXT_TOKEN if number else FIRST_TOKEN)
        yield piece


def event(data: Any, name: str | None = None) -> bytes:
    """One server-sent event. Source: WHATWG HTML, 9.2.6."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"


def stream(events: AsyncIterator[bytes]) -> Response:
    """A streamed reply."""
    return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})


def on_refusal(request: Request, error: Exception) -> Response:
    """An error reply in the form of the API that was asked."""
    assert isinstance(error, Refusal)  # noqa: S101 - what it is registered for
    tally(request).add_error()
    if request.url.path.startswith("/v1/messages"):
        body: dict[str, Any] = {"type": "error", "error": {"type": error.kind, "message": error.message}}
    else:
        body = {"error": {"message": error.message, "type": error.kind, "param": None, "code": error.code}}
    return JSONResponse(body, error.status)


def models() -> Iterator[dict[str, Any]]:
    """The models on offer."""
    for model in MODELS:
        yield {"id": model, "object": "model", "created": 0, "owned_by": "llmtoken-demo"}
