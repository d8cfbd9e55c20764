"""`GET /` and the files that it needs.

The page is for everybody. Its numbers are those of `/metrics`, and the last calls are of the audit: they are on it only
where reading the metrics, or the audit, takes no token.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from importlib import resources

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from llmtoken.audit import Audit
from llmtoken.config import Settings
from llmtoken.landing.facts import Watcher
from llmtoken.landing.page import render
from llmtoken.metrics import Metrics
from llmtoken.pipeline import Pipeline

_ASSETS = {"landing.css": "text/css", "landing.js": "text/javascript", "icon.svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
)
_POLICY += "form-action 'none'; frame-ancestors 'none'"
"""Nothing but our own files, and nothing inline: whatever a model is called, it stays text."""


def router(settings: Settings, store: Audit, pipeline: Pipeline, metrics: Metrics) -> APIRouter:
    """The routes of the page."""
    watcher = Watcher(settings, store, pipeline, metrics, started=time.time())
    routes = APIRouter(include_in_schema=False)

    @routes.get("/", response_class=HTMLResponse)
    async def home(request: Request) -> HTMLResponse:
        text = await run_in_threadpool(lambda: render(watcher.look(), origin=str(request.base_url)))
        return HTMLResponse(text, headers={"content-security-policy": _POLICY, "cache-control": "no-store"})

    for name, media_type in _ASSETS.items():
        routes.add_api_route(f"/landing/{name}", _asset(name, media_type))
    return routes


def _asset(name: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    content = resources.files(__package__).joinpath("assets", name).read_bytes()

    async def answer() -> Response:
        return Response(content, media_type=media_type, headers={"cache-control": "max-age=3600"})

    return answer
