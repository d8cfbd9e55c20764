"""The door that reports come through: an ASGI application of its own, past the layers of the framework.

FastAPI and Starlette cost more than reading a report does: middlewares, exception handlers, objects for request and
answer. Here is what a report needs of them: who may, whether there is room, the body within its bounds, and an answer
with the headers and the shape of errors that every other route has.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from llmtoken import payload
from llmtoken.config import Settings
from llmtoken.errors import LlmtokenError, TooLarge
from llmtoken.guard import SECURITY_HEADERS, App, Receive, Scope, Send, Tokens
from llmtoken.pipeline import Outcome, Pipeline
from llmtoken.server.answers import refusal
from llmtoken.server.doors import admit

PATH = "/api/report"

_DISCARD = 4
"""How many times the limit of a request is read and thrown away, so that the sender hears why."""

_LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/ndjson"})

_HEADERS = [(b"content-type", b"application/json"), *SECURITY_HEADERS.items()]


class Reports:
    """An ASGI application that takes one report, or many as NDJSON, and answers when they are committed."""

    def __init__(self, settings: Settings, pipeline: Pipeline) -> None:
        self._tokens = Tokens(lambda: settings.tokens, settings.token_file)
        self._pipeline = pipeline
        self._limit = settings.max_request_bytes

    def before(self, rest: App) -> App:
        """An application that takes reports in here, and leaves everything else to `rest`."""

        async def parted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
                await self(scope, receive, send)
            else:
                await rest(scope, receive, send)

        return parted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. What is no `LlmtokenError` is a defect, which the server tells and answers with 500."""
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # of several the first
        more: Mapping[str, str] = {}
        try:
            admit(self._tokens, headers.get(b"authorization", b"").decode("latin-1"))
            self._pipeline.refuse_when_full()
            body = await self._body(headers, receive)
            if body is None:
                return  # the client has left; half a request is not a report
            status, answer = await self._take(headers, body)
        except LlmtokenError as error:
            status, answer, more = refusal(error)
        content = msgspec.json.encode(answer)
        fields = [
            *_HEADERS,
            (b"content-length", b"%d" % len(content)),
            *((name.encode(), value.encode()) for name, value in more.items()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": content})

    async def _take(self, headers: Mapping[bytes, bytes], body: bytes) -> tuple[int, dict[str, Any]]:
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        form: payload.Form = "lines" if kind in _LINES else "one"
        ledger = headers.get(b"llmtoken-source")
        parse = partial(
            payload.parse,
            body,
            form=form,
            gzipped=headers.get(b"content-encoding", b"").strip().lower() == b"gzip",
            limit=self._limit,
            ledger=None if ledger is None else ledger.decode("latin-1"),
        )
        outcome = await self._pipeline.submit(parse, len(body))
        return _one(outcome) if form == "one" else _lines(outcome)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
        """The request's body, `None` when its sender left. Raises `TooLarge`, after reading on so that it is heard."""
        declared = int(headers.get(b"content-length") or 0)
        chunks: list[bytes] = []
        size = 0
        more = True
        while more and size <= self._limit * _DISCARD:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            more = message.get("more_body", False)
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit or declared > self._limit:
                chunks.clear()
            else:
                chunks.append(chunk)
        if size > self._limit:
            raise TooLarge(
                f"The request is larger than {self._limit} bytes",
                hint="send smaller batches, or raise LLMTOKEN_MAX_REQUEST_BYTES",
            )
        return b"".join(chunks)


def _one(outcome: Outcome) -> tuple[int, dict[str, Any]]:
    call = outcome.stored[0] or outcome.readings[0].record.call
    # `tps` keeps the seed's meaning: all tokens over the whole time.
    tps = call.total_tokens / call.duration if call.total_tokens is not None and call.duration else None
    return 200, {"status": "ok", "request_id": call.request_id, "total_tokens": call.total_tokens, "tps": tps}


def _lines(outcome: Outcome) -> tuple[int, dict[str, Any]]:
    rejected = [{"line": refused.line, "error": refused.error} for refused in outcome.rejected]
    if not outcome.readings and (rejected or not outcome.told):
        error = {"error": "No line holds a usable report", "hint": "send one JSON object a line: docs/report.md"}
        return 400, {"status": "error", **error, "rejected": rejected}
    accepted = sum(call is not None for call in outcome.stored)
    duplicates = len(outcome.stored) - accepted
    return 200, {"status": "ok", "accepted": accepted, "duplicates": duplicates, "rejected": rejected}
