"""Who gets in: tokens, and what every request passes before the routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request

from llmtoken.config import Settings
from llmtoken.errors import TooOften, Unauthorized
from llmtoken.guard import SecurityHeaders, Throttle, Throttled, Tokens, client_of


def shield(app: FastAPI, settings: Settings) -> None:
    """Put rates and security headers before all routes; the last one added is the first."""
    requests = Throttle(settings.max_requests_per_second, 4 * settings.max_requests_per_second)
    app.add_middleware(Throttled, throttle=requests, but=("/api/report", "/health"))
    app.add_middleware(SecurityHeaders)


def bearer(tokens: Tokens, attempts: Throttle | None = None) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets a request pass with one of `tokens`, or always when there are none.

    Who has shown too many wrong ones isn't heard for a while, not even with a right one. Not so
    without `attempts`: a plugin with an old token mustn't keep others at its address from reporting.
    """

    async def check(request: Request) -> None:
        if not tokens.required:
            return
        client = client_of(request.scope)
        if attempts is not None and (wait := attempts.wait(client)):
            raise TooOften("Too many wrong tokens", hint="come again after Retry-After", retry_after=wait)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if not (tokens.admit(given.strip()) and scheme.lower() == "bearer"):
            if attempts is not None:
                attempts.take(client)
            raise Unauthorized("A valid token is needed", hint="send Authorization: Bearer with the right token")

    return check
