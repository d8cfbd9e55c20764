"""Answers: JSON as it goes out, and every error in its one shape."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from llmtoken.errors import (
    LlmtokenError,
    NotFound,
    NotJSON,
    QueryError,
    QueueFull,
    ReportError,
    TooLarge,
    TooOften,
    Unauthorized,
    Unavailable,
)

_STATUS: tuple[tuple[type[LlmtokenError], int], ...] = (
    (Unauthorized, 401),
    (NotFound, 404),
    (TooLarge, 413),
    (NotJSON, 400),
    (ReportError, 422),
    (QueryError, 422),
    (QueueFull, 429),
    (TooOften, 429),
    (Unavailable, 503),
)
"""Which error answers with which status; the first that fits."""

_HINT = "see /docs for what there is and what it takes"


class Failure(BaseModel):
    """What every refusal looks like."""

    status: Literal["error"]
    error: str = Field(description="What was wrong, and where.")
    hint: str = Field(description="How to mend it.")


REFUSALS = {
    401: "The token is missing or wrong.",
    404: "There is no such thing.",
    422: "What is asked can't be answered as it is asked.",
    429: "This address asks too often, or has shown too many wrong tokens: Retry-After says how long to stay away.",
    503: "The database doesn't answer now: Retry-After says how long to stay away.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its description."""
    return {status: {"model": Failure, "description": REFUSALS[status]} for status in statuses}


def as_json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer of JSON."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def explain_errors(app: FastAPI) -> None:
    """Answer whatever is raised in the one shape."""
    app.add_exception_handler(LlmtokenError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_wrong_query)
    app.add_exception_handler(HTTPException, _on_http_error)


def refusal(error: LlmtokenError) -> tuple[int, dict[str, str], dict[str, str]]:
    """What an error of ours answers: status, content, headers."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {}
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if status == 401:  # noqa: PLR2004
        headers["www-authenticate"] = "Bearer"
    return status, _told(error.message, error.hint), headers


def _told(error: str, hint: str) -> dict[str, str]:
    return {"status": "error", "error": error, "hint": hint}


def _failure(error: str, hint: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return as_json(_told(error, hint), status=status, headers=headers)


async def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, LlmtokenError)  # noqa: S101 - what it is registered for
    status, answer, headers = refusal(error)
    return as_json(answer, status=status, headers=headers)


async def _on_wrong_query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    wrong = "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}" for each in error.errors()
    )
    return _failure(wrong, _HINT, 422)


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return _failure(error.detail, _HINT, error.status_code, dict(error.headers or {}))
