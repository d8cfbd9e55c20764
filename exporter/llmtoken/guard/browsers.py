"""What browsers are told about our answers: run nothing, frame nothing, keep nothing, guess nothing.

No answer allows another origin to read it: there is no CORS header, and none may be added.
"""

from __future__ import annotations

import base64
import hashlib
import re

from llmtoken.guard.throttle import App, Receive, Scope, Send

_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

SECURITY_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"content-security-policy": _NOTHING.encode(),
}
"""What every answer has, but for those that it sets itself."""

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """An ASGI application whose every answer has the headers, but for those that it sets itself."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Scope) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                said = {name.lower() for name, _ in headers}
                message["headers"] = headers + [pair for pair in SECURITY_HEADERS.items() if pair[0] not in said]
            await send(message)

        await self._app(scope, receive, with_headers)


def policy(page: str) -> str:
    """The content security policy of one of our pages: its own scripts, files of ours, and no other place."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    ours = f"script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
    return f"{_NOTHING}; {ours}"
