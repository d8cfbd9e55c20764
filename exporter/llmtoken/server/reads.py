"""Reading the audit over HTTP: one call, pages of calls, usage. And how all of it is described in `/docs`.

What may be asked is `llmtoken.audit.Filter`; this is only its HTTP face. Rows go out as the audit gives them;
the models here describe them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, get_type_hints

from fastapi import APIRouter, Query, Response
from fastapi.params import Depends
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, create_model
from starlette.concurrency import run_in_threadpool

from llmtoken.audit import MEANINGS, MOST_CALLS, USAGE_GROUPS, USAGE_MEANINGS, Filter, Reader
from llmtoken.call import Call
from llmtoken.errors import NotFound, QueryError
from llmtoken.server.answers import as_json, refusals

MOST_GROUPS = 10_000
"""Rows of one answer of usage."""


# ── What may be asked ───────────────────────────────────────────────────────────────────


class _Query(Filter):
    def filter(self) -> Filter:
        """What of it is the audit's to answer."""
        return Filter(**{name: getattr(self, name) for name in Filter.model_fields})


class CallsQuery(_Query):
    """A filter and a page."""

    limit: int = Field(100, ge=1, le=MOST_CALLS, description="Calls of a page.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


def _parted(given: Any) -> Any:
    """`group_by=day,model` is `group_by=day&group_by=model`."""
    return [name for each in given for name in each.split(",") if name] if isinstance(given, list) else given


_GROUPS_SCHEMA = {
    "type": "array",
    "items": {"type": "string", "enum": list(USAGE_GROUPS)},
    "examples": [["day", "model"]],
}


class UsageQuery(_Query):
    """A filter and a grouping."""

    group_by: Annotated[list[str], BeforeValidator(_parted), WithJsonSchema(_GROUPS_SCHEMA)] = Field(
        [], description="One of `hour`, `day`, `month` and any of the others, with commas or repeated."
    )


# ── What is answered ────────────────────────────────────────────────────────────────────

_TYPES: dict[str, Any] = {
    "started_at": datetime,
    "finish_reasons": list[str],
    "duration": float | None,
    "cost": str | None,
    "labels": dict[str, str],
    "details": dict[str, str | int | float],
}
"""How a value looks in JSON, where not as in `Call`."""

_HINTS = {**get_type_hints(Call), **_TYPES}


def _described(names: Iterable[str]) -> dict[str, Any]:
    return {name: (_HINTS[name], Field(description=MEANINGS[name])) for name in names}


CallAnswer = create_model("CallAnswer", **_described(name for name in MEANINGS if name != "details"))
"""A call as it goes out; unknown is null."""

_ASKED_FOR: dict[str, Any] = {
    "details": (_TYPES["details"], Field({}, description="What else was said; only when asked for.")),
    "request_body": (str | None, Field(None, description="The request as text; only when asked for.")),
    "response_body": (str | None, Field(None, description="The reply as text; likewise. Null when not kept.")),
}
OneCall = create_model("OneCall", __base__=CallAnswer, **_ASKED_FOR)


class CallsAnswer(BaseModel):
    """A page."""

    calls: list[CallAnswer]
    next_cursor: str | None = Field(description="Asks for the next page; null behind the last call.")


def _group(name: str) -> Any:
    kind = int if name == "status" else str
    return kind | None, Field(None, description=f"The {name} of the group, when grouped by it; null: unknown.")


def _sum(name: str) -> Any:
    return (str if name == "cost" else int) | None, Field(description=USAGE_MEANINGS[name])


UsageRow = create_model(
    "UsageRow", **{name: _group(name) for name in USAGE_GROUPS}, **{name: _sum(name) for name in USAGE_MEANINGS}
)


class UsageAnswer(BaseModel):
    """What calls add up to."""

    usage: list[UsageRow]


def _example(answer: Any) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": answer}}}}


EXAMPLE: dict[str, Any] = {
    "request_id": "18925f0c1a2b3c4d-17",
    "started_at": "2026-01-31T12:00:00.250000Z",
    "method": "POST",
    "path": "/v1/chat/completions",
    "host": "api.openai.com",
    "http_status": 200,
    "stream": True,
    "aborted": "",
    "operation_name": "chat",
    "provider_name": "openai",
    "server_address": "api.openai.com",
    "server_port": 443,
    "request_model": "gpt-4o",
    "response_model": "gpt-4o-2024-08-06",
    "response_id": "chatcmpl-BqVXAfQuyG8",
    "finish_reasons": ["stop"],
    "error_type": None,
    "input_tokens": 1250,
    "output_tokens": 320,
    "total_tokens": 1570,
    "cache_read_input_tokens": 1024,
    "cache_write_input_tokens": None,
    "reasoning_output_tokens": 0,
    "input_audio_tokens": None,
    "output_audio_tokens": None,
    "usage_source": "reported",
    "duration": 4.2,
    "time_to_first_byte": 0.38,
    "time_to_first_chunk": 0.41,
    "time_per_output_chunk": 0.012,
    "tokens_per_second": 76.19,
    "tool_calls": None,
    "consumer": "team-search",
    "cost": "0.005045",
    "price_version": "genai-prices 0.0.10",
    "middleware": "llmtoken@file",
    "labels": {"environment": "production"},
    "request_bytes": 5120,
    "response_bytes": 48211,
    "request_truncated": False,
    "response_truncated": False,
}
_USAGE_EXAMPLE = {
    "day": "2026-01-31",
    "model": "gpt-4o",
    "calls": 1204,
    "errors": 3,
    "input_tokens": 1505000,
    "output_tokens": 385280,
    "total_tokens": 1890280,
    "cache_read_input_tokens": 1232896,
    "cache_write_input_tokens": None,
    "reasoning_output_tokens": 0,
    "input_audio_tokens": None,
    "output_audio_tokens": None,
    "estimated_calls": 12,
    "unpriced_calls": 0,
    "cost": "6.07418",
}
_CURSOR_EXAMPLE = "WyIyMDI2LTAxLTMxVDEyOjAwOjAwLjI1MDAwMFoiLDE3XQ"


# ── The routes ──────────────────────────────────────────────────────────────────────────


def router(store: Reader, may_read: Depends) -> APIRouter:
    """The routes. `may_read` refuses whoever hasn't a read token."""
    routes = APIRouter(prefix="/api", dependencies=[may_read], tags=["audit"])

    @routes.get(
        "/calls",
        summary="Calls that fit, newest first",
        response_model=CallsAnswer,
        responses={**_example({"calls": [EXAMPLE], "next_cursor": _CURSOR_EXAMPLE}), **refusals(401, 422, 429, 503)},
    )
    async def calls(query: Annotated[CallsQuery, Query()]) -> Response:
        """`next_cursor` asks for the next page, and is null behind the last call.

        Calls that arrive meanwhile neither repeat nor hide others. Bodies are in `/api/calls/{request_id}`.
        """
        page = await run_in_threadpool(store.list, query.filter(), query.limit, query.cursor or None)
        return as_json({"calls": page.calls, "next_cursor": page.next_cursor})

    @routes.get(
        "/usage",
        summary="What the calls that fit add up to",
        response_model=UsageAnswer,
        responses={**_example({"usage": [_USAGE_EXAMPLE]}), **refusals(401, 422, 429, 503)},
    )
    async def usage(query: Annotated[UsageQuery, Query()]) -> Response:
        """A row for each group, by time and then by calls; without `group_by`, one row for all.

        Whole days also know calls that were pruned since; parts of days, and hours, only those that are there.
        """
        found = await run_in_threadpool(store.usage, query.filter(), query.group_by)
        if len(found) > MOST_GROUPS:
            raise QueryError(
                f"That is {len(found)} groups, more than {MOST_GROUPS}",
                hint="narrow it with since, until or another filter, or group by less",
            )
        return as_json({"usage": found})

    @routes.get(
        "/calls/{request_id:path}",
        summary="One call of the audit",
        response_model=OneCall,
        responses={**_example(EXAMPLE), **refusals(401, 404, 422, 429, 503)},
    )
    async def call(
        request_id: str,
        details: Annotated[bool, Query(description="With what only some providers say.")] = False,
        bodies: Annotated[bool, Query(description="With what was said: request and reply as text.")] = False,
    ) -> Response:
        row = await run_in_threadpool(store.call, request_id, details=details, bodies=bodies)
        if row is None:
            raise NotFound(f"There is no call {request_id}", hint="it may not be committed yet, or be pruned")
        return as_json(row)

    return routes
