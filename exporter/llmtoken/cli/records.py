"""Where the reading commands get records from: the database itself, or a running collector."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from llmtoken import audit
from llmtoken.audit import Reader
from llmtoken.audit.calibration import Lesson
from llmtoken.config import Settings, variable
from llmtoken.errors import NotFound, StorageUnavailable, Unauthorized

_TIMEOUT = 60.0
"""Seconds that a collector may take to answer."""


class Records(Protocol):
    """What can be asked of either."""

    name: str

    def call(self, request_id: str) -> dict[str, Any]:
        """One call with details and bodies. Raises `NotFound`."""

    def lessons(self) -> list[Lesson]:
        """What was learned about counting, as far as it is to be had."""


@contextmanager
def records(settings: Settings, url: str | None) -> Iterator[Records]:
    """The configured database, or with `url` the collector there, asked with the configured read token."""
    if url is None:
        with audit.open_read_only(settings.database) as reader:
            yield InDatabase(audit.shown(settings.database), reader)
        return
    token = next(iter(settings.read_tokens), None)
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT) as client:
        yield AtCollector(url, client)


class InDatabase:
    """Records of a database, read without a server."""

    def __init__(self, name: str, reader: Reader) -> None:
        self.name = name
        self._reader = reader

    def call(self, request_id: str) -> dict[str, Any]:
        """See `Records`."""
        row = self._reader.call(request_id, details=True, bodies=True)
        if row is None:
            raise _unknown(request_id, self.name)
        return row

    def lessons(self) -> list[Lesson]:
        """See `Records`."""
        return self._reader.lessons()


class AtCollector:
    """Records of a running collector."""

    def __init__(self, url: str, client: httpx.Client) -> None:
        self.name = url
        self._client = client

    def call(self, request_id: str) -> dict[str, Any]:
        """See `Records`."""
        found = self._get(f"/api/calls/{quote(request_id, safe='')}", {"details": True, "bodies": True})
        if found is None:
            raise _unknown(request_id, self.name)
        row: dict[str, Any] = found
        return row

    def lessons(self) -> list[Lesson]:
        """Nothing: a collector doesn't give them away."""
        return []

    def _get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """The JSON at `path`, `None` where there is none. Raises our own errors for every other answer."""
        try:
            answer = self._client.get(path, params=dict(parameters))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StorageUnavailable(f"Can't ask {self.name}: {error}", hint="is a collector running there?") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            names = f"{variable('read_token')} or {variable('read_token_file')}"
            given = any(os.environ.get(name) for name in (variable("read_token"), variable("read_token_file")))
            raise Unauthorized(
                f"{self.name} wants {'another' if given else 'a'} read token", hint=f"set {names} to one that it knows"
            )
        try:
            said = answer.json()
        except ValueError:
            said = {}
        if not answer.is_success or said == {}:
            what = said.get("error") if isinstance(said, dict) else None
            raise StorageUnavailable(
                f"{self.name} answered {answer.status_code}: {what or 'not a collector?'}",
                hint=said.get("hint") or "give the address that the collector listens on",
            )
        return said


def _unknown(request_id: str, where: str) -> NotFound:
    return NotFound(
        f"There is no call {request_id} in {where}",
        hint="llmtoken audit list shows what there is; --database or --url name another place",
    )
