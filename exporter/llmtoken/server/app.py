"""The collector as an application: what it is made of, its own routes, and how it is run."""

from __future__ import annotations

import gc
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from llmtoken import __version__, audit, landing
from llmtoken.config import Settings
from llmtoken.guard import App, Limits, Throttle, Tokens, guarded, make_room, policy
from llmtoken.metrics import Metrics
from llmtoken.pipeline import Pipeline
from llmtoken.server import reads
from llmtoken.server.answers import as_json, explain_errors
from llmtoken.server.description import EXPOSITION, HEALTHY, READY, Health, Readiness, described
from llmtoken.server.doors import bearer, shield
from llmtoken.server.reports import PATH, Reports

log = logging.getLogger(__name__)


def create_app(settings: Settings, *, clock: Callable[[], float] = time.time) -> App:
    """Build the collector. Opens (and migrates) the database; raises `DatabaseError` when that fails.

    `clock` says, in seconds, how long a report has been missing; it goes on over restarts.
    """
    rules = audit.Rules(settings.retain_bodies, settings.retain_calls, settings.retain_bytes)
    store = audit.open(
        settings.database,
        instance=settings.instance,
        rules=rules,
        search=settings.search,
        seals=settings.seals,
        seal_keys=settings.seal_keys,
        clock=clock,
    )
    metrics = Metrics(
        max_models=settings.max_models,
        max_consumers=settings.max_consumers,
        instance=store.instance,
        detail=settings.metrics_detail,
    )
    pipeline = Pipeline(settings, store, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pipeline.start()
        try:
            yield
        finally:
            await run_in_threadpool(pipeline.stop)
            await run_in_threadpool(metrics.close)
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
    explain_errors(app)
    shield(app, settings)
    attempts = Throttle(settings.max_wrong_tokens_per_minute / 60, settings.max_wrong_tokens_per_minute)
    may_read = Depends(bearer(Tokens(lambda: settings.read_tokens, settings.read_token_file), attempts))
    may_scrape = Depends(bearer(Tokens(lambda: settings.metrics_tokens, settings.metrics_token_file), attempts))

    reports = Reports(settings, pipeline)
    app.router.routes.append(Route(PATH, reports, methods=["POST"]))  # for what other methods are told
    # Taken over as they are: `include_router` makes all its routes a second time, while the first request waits.
    app.router.routes += reads.router(store, may_read).routes
    app.openapi = partial(described, app, settings)  # type: ignore[method-assign]

    @app.get("/health", summary="Whether the process is alive", response_model=Health, responses=HEALTHY)
    async def health() -> Response:
        return as_json({"status": "ok", "version": __version__})

    @app.get(
        "/ready",
        summary="Whether reports can be taken and kept",
        response_model=Readiness,
        responses=READY,
    )
    async def ready() -> Response:
        writable = await run_in_threadpool(store.writable)
        state = {"database_writable": writable, "queue_full": pipeline.full}
        good = writable and not pipeline.full
        return as_json({"status": "ok" if good else "unavailable", **state}, status=200 if good else 503)

    @app.get(
        "/metrics",
        dependencies=[may_scrape],
        summary="The metrics, for Prometheus",
        response_class=Response,
        responses=EXPOSITION,
    )
    async def exposition(request: Request) -> Response:
        body, media_type = await run_in_threadpool(metrics.exposition, request.headers.get("accept"))
        return Response(body, headers={"content-type": media_type})

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title="llmtoken",
            swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css",
            swagger_favicon_url="docs/assets/favicon-32x32.png",
        )
        page.headers["content-security-policy"] = policy(bytes(page.body).decode())
        return page

    app.router.routes += landing.router(settings, store, pipeline, metrics).routes
    return reports.before(app)


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
        proxy_headers=False,  # a header can say anything
        http=guarded(Limits(settings.max_connections, max(1, settings.max_connections // 4))),
        ws="none",
        # Longer than the plugin keeps an idle connection, so that it is never closed under a batch.
        timeout_keep_alive=120,
    )
    make_room(settings.max_connections)
    # What is loaded by now stays for good: Python need not look through it for garbage again and again.
    gc.collect()
    gc.freeze()
    server = uvicorn.Server(configuration)
    with suppress(KeyboardInterrupt):
        server.run(sockets=sockets)
    if not server.started:
        sys.exit(1)
