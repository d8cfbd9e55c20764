"""A model server without a model, to try llmtoken with: OpenAI's and Anthropic's APIs, canned text.

Every reply says in its text and in a header that it is a demo. The token counts are real,
and `/demo/tally` tells what was used: the truth that `llmtoken demo` is checked against.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmtoken.demo_server import anthropic, openai, responses, text, web
from llmtoken.demo_server.tally import Tally

LABEL = (b"x-llmtoken-demo", b"no model runs here, the text is canned")


def create_app() -> Starlette:
    """Build the demo model server, with empty books."""
    text.count("")  # loads the encoding now, so that the first reply is as quick as the others
    app = Starlette(
        routes=[
            Route("/", _home),
            Route("/demo/tally", _tally),
            *openai.ROUTES,
            *responses.ROUTES,
            *anthropic.ROUTES,
        ],
        middleware=[Middleware(_Label)],
        exception_handlers={web.Refusal: web.on_refusal, HTTPException: _on_http_error},
    )
    app.state.tally = Tally()
    return app


async def _home(_: Request) -> Response:
    return PlainTextResponse("llmtoken's demo model server: no model runs here, the text is canned.\n")


async def _tally(request: Request) -> Response:
    return JSONResponse(web.tally(request).as_json())


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    message = f"The demo model server can't {request.method} {request.url.path}: {error.detail}"
    return web.on_refusal(request, web.Refusal(error.status_code, "invalid_request_error", message))


class _Label:
    """Puts the label on every reply."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], LABEL]
            await send(message)

        await self._app(scope, receive, labelled)
