"""Who gets in: tokens, and what every request passes before the routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request

from llmtoken.config import Settings
from llmtoken.errors import TooOften, Unauthorized
from llmtoken.guard import SecurityHeaders, Throttle, Throttled, Tokens, client_of


def shield(app: FastAPI, settings: Settings) -> None:
    """Put rates and security headers before all routes but that of reports; the last one added is the first."""
    requests = Throttle(settings.max_requests_per_second, 4 * settings.max_requests_per_second)
    app.add_middleware(Throttled, throttle=requests, but=("/health",))
    app.add_middleware(SecurityHeaders)


def admit(tokens: Tokens, authorization: str) -> None:
    """Let pass who shows one of `tokens`, or everybody when there are none. Raises `Unauthorized`."""
    scheme, _, given = authorization.partition(" ")
    if tokens.required and not (tokens.admit(given.strip()) and scheme.lower() == "bearer"):
        raise Unauthorized("A valid token is needed", hint="send Authorization: Bearer with the right token")


def bearer(tokens: Tokens, attempts: Throttle) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets a request pass with one of `tokens`, or always when there are none.

    Who has shown too many wrong ones isn't heard for a while, not even with a right one. Not so where
    reports come in: a plugin with an old token mustn't keep others at its address from reporting.
    """

    async def check(request: Request) -> None:
        client = client_of(request.scope)
        if tokens.required and (wait := attempts.wait(client)):
            raise TooOften("Too many wrong tokens", hint="come again after Retry-After", retry_after=wait)
        try:
            admit(tokens, request.headers.get("authorization", ""))
        except Unauthorized:
            attempts.take(client)
            raise

    return check
