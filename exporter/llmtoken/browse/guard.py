"""Who gets in: programs with a bearer token, people who typed it once and have a signed cookie since.

Everything passes through here, files too; without a valid token nothing is answered but the
form that asks for one. Where no token is set, only this machine may be asked, by its own name,
so that a web page of somebody else's can't read the audit through the visitor's browser (DNS
rebinding). Must not know what it guards.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from html import escape
from importlib import resources
from string import Template
from urllib.parse import parse_qs

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmtoken.config import is_loopback

LOGIN, LOGOUT = "/-/login", "/-/logout"
COOKIE = "llmtoken_browse"
_VALID = 12 * 3600
"""Seconds that a cookie is good for; a restart ends it sooner."""
_FORM = 4096
"""Bytes of the login form."""

_HEADERS = {
    # Datasette's own pages have scripts and styles inside; nothing comes from anywhere else, and nothing goes there.
    "content-security-policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "private, no-store",
}


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, tokens: Iterable[str], *, hosts_checked: bool = True) -> None:
        """`hosts_checked`: without tokens, only answer to this machine's own names."""
        self._app, self._hosts_checked = app, hosts_checked
        self._tokens = [token.encode() for token in tokens]
        self._signer = TimestampSigner(secrets.token_bytes(32), salt=COOKIE)
        self._page = Template(resources.files(__package__).joinpath("login.html").read_text("utf-8"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
            await send(message)

        request = Request(scope, receive)
        answer = await self._answer(request)
        await (answer or self._app)(scope, receive, guarded)

    async def _answer(self, request: Request) -> Response | None:
        """What is said instead of the page; `None` lets the request through."""
        if not self._tokens:
            return (
                None
                if _is_ours(request) or not self._hosts_checked
                else _refused(421, "This name isn't this machine's")
            )
        if request.url.path == LOGIN and request.method == "POST":
            return await self._login(request)
        if request.url.path == LOGOUT:
            answer = RedirectResponse("/", 303)
            answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
            return answer
        if self._has_token(request) or self._has_cookie(request):
            return RedirectResponse("/", 303) if request.url.path == LOGIN else None
        if "text/html" not in request.headers.get("accept", ""):
            return _refused(401, "A valid read token is needed")
        path = request.url.path if request.url.path != LOGIN else "/"
        return self._form(f"{path}?{request.url.query}" if request.url.query else path)

    async def _login(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _FORM:
                return _refused(413, "That is no token")
        given = parse_qs(body.decode("utf-8", "replace"))
        there = given.get("next", ["/"])[0]
        if not self._knows(given.get("token", [""])[0].strip()):
            return self._form(there, wrong=True)
        answer = RedirectResponse(there if _is_path(there) else "/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, self._signer.sign(b"reader").decode(), _VALID, httponly=True, samesite="strict", secure=secure
        )
        return answer

    def _form(self, there: str, *, wrong: bool = False) -> Response:
        page = self._page.substitute(action=LOGIN, next=escape(there), wrong="" if wrong else "hidden")
        return HTMLResponse(page, 401, {"www-authenticate": "Bearer"})

    def _has_token(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._knows(given.strip())

    def _knows(self, given: str) -> bool:
        # Every token is compared, in constant time, so that the time tells nothing.
        matches = [hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token) for token in self._tokens]
        return any(matches)

    def _has_cookie(self, request: Request) -> bool:
        try:
            self._signer.unsign(request.cookies.get(COOKIE, ""), max_age=_VALID)
        except BadSignature:
            return False
        return True


def _is_ours(request: Request) -> bool:
    """Whether the browser was told to ask this machine by a name of its own."""
    host = request.headers.get("host", "")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name)


def _is_path(there: str) -> bool:
    """Whether it leads to a page of ours; two slashes, of either kind, lead to another host."""
    return there.startswith("/") and not there.startswith(("//", "/\\"))


def _refused(status: int, error: str) -> Response:
    hint = "send Authorization: Bearer with a read token" if status == 401 else "ask 127.0.0.1"  # noqa: PLR2004
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}  # noqa: PLR2004
    return JSONResponse({"status": "error", "error": error, "hint": hint}, status, headers)
