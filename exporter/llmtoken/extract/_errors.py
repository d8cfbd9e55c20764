"""What kind of error a reply is, in the provider's own word: the value of `error.type`.

Owns the shapes that errors come in. Must not know single APIs.
Source: https://opentelemetry.io/docs/specs/semconv/attributes-registry/error/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtoken.extract._fields import mapping, text

FAILED = 400
"""The lowest status of a failed request."""
LONGEST = 100
"""Characters of a type or code; what is longer is prose."""


def error_in(body: Mapping[str, Any]) -> str | None:
    """The provider's type or code of an error inside a JSON object, or `None` when there is no error.

    Known shapes: `{"error": {"type": …, "code": …}}` (OpenAI, Anthropic; OpenRouter and
    Azure have only a code), `{"error": {"status": …, "code": 429}}` (Google), `{"error":
    "text"}` (Ollama; TGI adds `error_type`), `{"object": "error", "type": …}` (Mistral, vLLM),
    `{"type": "error", "error": {…}}` (Anthropic, also in streams), `{"error_code": 110, "error_msg": …}`
    (Baidu), `{"code": 11200, "message": …, "sid": …}` (iFlytek, whose code is 0 when it worked).
    """
    error = body.get("error")
    if type(error) is dict:
        # Google's status is a word and its code a number; with Azure's content filter it is the other way round.
        # Fireworks' type says no more than that it is an error.
        kind = _word(error, "type")
        return kind if kind and kind != "error" else text(error.get("status")) or _word(error, "code") or "error"
    if error and type(error) in (str, list):
        return _word(body, "error_type") or "error"
    if "error_msg" in body or "sid" in body:
        return _numbered(body)
    if body.get("object") == "error" or body.get("type") == "error":
        return _word(body, "code" if body.get("type") == "error" else "type") or _word(body, "code") or "error"
    return None


def error_type(status: int | None, headers: Mapping[str, str], body: Any) -> str | None:
    """The error of a reply: the provider's word, else `http_` and the status; `None` when it worked.

    `body` is its JSON value, or the first event's: Google wraps an error in an array.
    """
    found = error_in(mapping(body))
    if status is None or status < FAILED:
        return found
    if found and found != "error":
        return found
    # AWS: `ValidationException:http://internal.amazon.com/…`, or `com.amazon#…` in the body (Smithy's JSON protocols).
    aws = headers.get("x-amzn-errortype") or _word(mapping(body), "__type") or ""
    return aws.partition(":")[0].rpartition("#")[2] or _beside(mapping(body)) or f"http_{status}"


def _beside(body: Mapping[str, Any]) -> str | None:
    """What stands beside a message that isn't wrapped: Cerebras' type, DashScope's code, Novita's reason.

    A number there repeats the status, and what has spaces is prose.
    """
    if "message" not in body or "error" in body:
        return None
    words = (_word(body, name) for name in ("type", "code", "reason"))
    return next((word for word in words if word and not word.isdigit() and " " not in word), None)


def _numbered(body: Mapping[str, Any]) -> str | None:
    code = _word(body, "error_code" if "error_msg" in body else "code")
    return None if code == "0" else code


def _word(error: Mapping[str, Any], name: str) -> str | None:
    value = error.get(name)
    word = str(value) if type(value) is int else text(value)
    # It becomes a metric label, so a whole message in the place of a code is no code.
    return word if word is not None and len(word) <= LONGEST else None
