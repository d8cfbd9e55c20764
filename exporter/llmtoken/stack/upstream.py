"""The model server behind Traefik: is its URL sound, does it answer, which model has it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from llmtoken.errors import ConfigError

_PATIENCE = 3.0
"""Seconds that a model server gets to answer the first question."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream said when it was asked for its models."""

    problem: str | None = None
    """Why it could not be reached; `None` when it answered, whatever it said."""
    model: str | None = None
    """The first model it offers, if it told."""


def checked(url: str) -> str:
    """The upstream's `scheme://host:port`. Raises `ConfigError` where the URL is anything else."""
    hint = "give --upstream (make: UPSTREAM=…) such as http://127.0.0.1:11434"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"The upstream {url!r} isn't a URL: {error}", hint=hint) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or set(url) & set("\"'` {}\\"):
        raise ConfigError(f"The upstream {url!r} isn't an http or https URL", hint=hint)
    if parts.username or parts.password:
        raise ConfigError(
            "The upstream's URL holds a password", hint="let clients send their own key, as without llmtoken"
        )
    if port == 0:
        raise ConfigError(f"The upstream {url!r} has no usable port", hint=hint)
    if parts.path.strip("/") or parts.query or parts.fragment:
        origin = f"{parts.scheme}://{parts.netloc}"
        raise ConfigError(
            f"The upstream {url!r} has a path; Traefik hands on the path that the client sends",
            hint=f"give {origin}, and put {parts.path or 'the rest'} into the client's base URL",
        )
    return f"{parts.scheme}://{parts.netloc}"


async def ask(url: str) -> Answer:
    """Ask an upstream for its models. Any answer means that it is there, a refusal too."""
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
            reply = await client.get(f"{url}/v1/models")
    except httpx.HTTPError as error:
        return Answer(problem=str(error) or type(error).__name__)
    with suppress(ValueError, LookupError, TypeError):
        return Answer(model=str(reply.json()["data"][0]["id"]))
    return Answer()
