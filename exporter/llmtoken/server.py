"""The HTTP face: routes, authentication, lifespan.

Turns requests into payloads and outcomes into answers. Every error answer has one shape:
`{"status": "error", "error": what was wrong, "hint": how to mend it}`. Must not know SQL,
metrics' names or the meaning of reports.
"""

from __future__ import annotations

import gc
import hmac
import logging
import math
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import resources
from typing import Annotated, Any

import msgspec
import uvicorn
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from llmtoken import __version__, audit, payload
from llmtoken.config import Settings
from llmtoken.errors import (
    LlmtokenError,
    NotFound,
    NotJSON,
    QueryError,
    QueueFull,
    ReportError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from llmtoken.metrics import Metrics
from llmtoken.pipeline import Outcome, Pipeline
from llmtoken.report import REQUIRED

log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[LlmtokenError], int], ...] = (
    (Unauthorized, 401),
    (NotFound, 404),
    (TooLarge, 413),
    (NotJSON, 400),
    (ReportError, 422),
    (QueryError, 422),
    (QueueFull, 429),
    (Unavailable, 503),
)
"""Which error answers with which status; the first that fits."""

_DISCARD = 4
"""How many times the limit of a request is read and thrown away, so that the sender hears why."""


def create_app(settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> FastAPI:
    """Build the collector. Opens (and migrates) the database; raises `DatabaseError` when that fails.

    `clock` says, in seconds, how long a report has been missing.
    """
    store = audit.open(settings.database, instance=settings.instance)
    metrics = Metrics(max_models=settings.max_models, max_consumers=settings.max_consumers, clock=clock)
    pipeline = Pipeline(settings, store, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pipeline.start()
        try:
            yield
        finally:
            await run_in_threadpool(pipeline.stop)
            metrics.close()
            store.close()

    app = FastAPI(
        title="llmtoken",
        version=__version__,
        summary="The collector of the open-source LLM meter for Traefik.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    # Swagger UI from our own packages, because an air-gapped collector can't ask a CDN.
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")]))
    app.add_exception_handler(LlmtokenError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_wrong_query)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(HTTPException, _on_http_error)
    landing_page = resources.files("llmtoken").joinpath("landing.html").read_text("utf-8")
    may_report = _bearer(settings.tokens)
    may_read = Depends(_bearer(settings.read_tokens))

    async def report(request: Request) -> Response:
        await may_report(request)
        pipeline.refuse_when_full()
        form = _form(request)
        data = await _body(request, settings.max_request_bytes)
        gzipped = request.headers.get("content-encoding", "").strip().lower() == "gzip"
        ledger = request.headers.get("llmtoken-source")
        parse = partial(
            payload.parse, data, form=form, gzipped=gzipped, limit=settings.max_request_bytes, ledger=ledger
        )
        outcome = await pipeline.submit(parse, len(data))
        return _answer_one(outcome) if form == "one" else _answer_lines(outcome)

    # A plain route: what FastAPI does for its own, dependencies and all, costs as much as to read a report.
    app.add_route("/api/report", report, methods=["POST"])
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]

    @app.get("/api/calls/{request_id:path}", dependencies=[may_read], summary="One call of the audit")
    async def call(
        request_id: str, details: Annotated[bool, Query()] = False, bodies: Annotated[bool, Query()] = False
    ) -> Response:
        row = await run_in_threadpool(store.call, request_id, details=details, bodies=bodies)
        if row is None:
            raise NotFound(f"There is no call {request_id}", hint="it may not be committed yet, or be pruned")
        return _json(row)

    @app.get("/health", summary="Whether the process is alive")
    async def health() -> Response:
        return _json({"status": "ok", "version": __version__})

    @app.get("/ready", summary="Whether reports can be taken and kept")
    async def ready() -> Response:
        writable = await run_in_threadpool(store.writable)
        state = {"database_writable": writable, "queue_full": pipeline.full}
        good = writable and not pipeline.full
        return _json({"status": "ok" if good else "unavailable", **state}, status=200 if good else 503)

    @app.get("/metrics", summary="The metrics, for Prometheus")
    async def exposition(request: Request) -> Response:
        body, media_type = await run_in_threadpool(metrics.exposition, request.headers.get("accept"))
        return Response(body, headers={"content-type": media_type})

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title="llmtoken",
            swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css",
            swagger_favicon_url="docs/assets/favicon-32x32.png",
        )

    @app.get("/", response_class=HTMLResponse, summary="What this is", include_in_schema=False)
    async def home() -> HTMLResponse:
        return HTMLResponse(landing_page)

    return app


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; what was accepted is committed before it returns."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    serve(settings)


def serve(settings: Settings, sockets: list[socket.socket] | None = None) -> None:
    """What `run` does but for logging, on `sockets` that are listening already if there are any."""
    configuration = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level=settings.log_level,
        access_log=False,  # costs more than taking a report
        server_header=False,
        proxy_headers=False,  # we never ask who the client is
        # Longer than the plugin keeps an idle connection, so that it is never closed under a batch.
        timeout_keep_alive=120,
    )
    # What is loaded by now stays for good: Python need not look through it for garbage again and again.
    gc.collect()
    gc.freeze()
    server = uvicorn.Server(configuration)
    with suppress(KeyboardInterrupt):
        server.run(sockets=sockets)
    if not server.started:
        sys.exit(1)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description of the routes, with the one that it doesn't see."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schema["paths"]["/api/report"] = _REPORT
        app.openapi_schema = schema
    return app.openapi_schema


_REPORT = {
    "post": {
        "summary": "Take one report, or many as NDJSON",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object", "required": list(REQUIRED)}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": {"description": "Committed."},
            "400": {"description": "Not JSON, or no usable line."},
            "401": {"description": "The token is missing or wrong."},
            "413": {"description": "Too large."},
            "422": {"description": "The report breaks the schema."},
            "429": {"description": "Too much is waiting: Retry-After says how long to stay away."},
            "503": {"description": "The database can't be written now: likewise."},
        },
    }
}


# ── Requests ────────────────────────────────────────────────────────────────────────────


def _form(request: Request) -> payload.Form:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return "lines" if media_type in ("application/x-ndjson", "application/jsonl", "application/ndjson") else "one"


async def _body(request: Request, limit: int) -> bytes:
    """The request's body. Raises `TooLarge`, after reading on a while so that the sender hears it."""
    declared = int(request.headers.get("content-length") or 0)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit or declared > limit:
            chunks.clear()
            if size > limit * _DISCARD:
                break
        else:
            chunks.append(chunk)
    if size > limit:
        raise TooLarge(
            f"The request is larger than {limit} bytes",
            hint="send smaller batches, or raise LLMTOKEN_MAX_REQUEST_BYTES",
        )
    return b"".join(chunks)


def _bearer(tokens: frozenset[str]) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets a request pass with one of `tokens`, or always when there are none."""
    known = [token.encode() for token in tokens]

    async def check(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Every token is compared, in constant time, so that the time tells nothing.
        matches = [hmac.compare_digest(given.strip().encode(), token) for token in known]
        if known and not (scheme.lower() == "bearer" and any(matches)):
            raise Unauthorized("A valid token is needed", hint="send Authorization: Bearer with the right token")

    return check


# ── Answers ─────────────────────────────────────────────────────────────────────────────


def _answer_one(outcome: Outcome) -> Response:
    call = outcome.stored[0] or outcome.readings[0].record.call
    # `tps` keeps the seed's meaning: all tokens over the whole time.
    tps = call.total_tokens / call.duration if call.total_tokens is not None and call.duration else None
    return _json({"status": "ok", "request_id": call.request_id, "total_tokens": call.total_tokens, "tps": tps})


def _answer_lines(outcome: Outcome) -> Response:
    rejected = [{"line": refused.line, "error": refused.error} for refused in outcome.rejected]
    if not outcome.readings and (rejected or not outcome.told):
        error = {"error": "No line holds a usable report", "hint": "send one JSON object a line: docs/report.md"}
        return _json({"status": "error", **error, "rejected": rejected}, status=400)
    accepted = sum(call is not None for call in outcome.stored)
    duplicates = len(outcome.stored) - accepted
    return _json({"status": "ok", "accepted": accepted, "duplicates": duplicates, "rejected": rejected})


def _json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


async def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, LlmtokenError)  # noqa: S101 - what it is registered for
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {}
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if status == 401:  # noqa: PLR2004
        headers["www-authenticate"] = "Bearer"
    return _json({"status": "error", "error": error.message, "hint": error.hint}, status=status, headers=headers)


async def _on_wrong_query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return _json({"status": "error", "error": wrong, "hint": "see /docs for what it takes"}, status=422)


async def _on_disconnect(_: Request, __: Exception) -> Response:
    # Nobody is there to read it; the half request is not a report and not a defect of ours.
    return Response(status_code=400)


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    hint = "see /docs for what there is"
    return _json(
        {"status": "error", "error": error.detail, "hint": hint},
        status=error.status_code,
        headers=dict(error.headers or {}),
    )
