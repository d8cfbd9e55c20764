"""Where the reading commands get records from: the database itself, or a running collector."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from llmtoken import audit
from llmtoken.audit import Filter, Reader
from llmtoken.audit.calibration import Lesson
from llmtoken.config import Settings, variable
from llmtoken.errors import NotFound, QueryError, StorageUnavailable, Unauthorized

Given = Mapping[str, str]
"""A filter as it was written: `llmtoken.audit.Filter`'s names."""

_TIMEOUT = 60.0
"""Seconds that a collector may take to answer."""


class Records(Protocol):
    """What can be asked of either."""

    name: str

    def call(self, request_id: str) -> dict[str, Any]:
        """One call with details and bodies. Raises `NotFound`."""

    def list(self, given: Given, limit: int, cursor: str | None) -> dict[str, Any]:
        """A page: `calls` and `next_cursor`, as the API has it. Raises `QueryError`."""

    def usage(self, given: Given, group_by: str) -> builtins.list[dict[str, Any]]:
        """A row for each group, as the API has it; `group_by` with commas. Raises `QueryError`."""

    def lessons(self) -> builtins.list[Lesson]:
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

    def list(self, given: Given, limit: int, cursor: str | None) -> dict[str, Any]:
        """See `Records`."""
        page = self._reader.list(Filter.of(**given), limit, cursor)
        return {"calls": page.calls, "next_cursor": page.next_cursor}

    def usage(self, given: Given, group_by: str) -> builtins.list[dict[str, Any]]:
        """See `Records`."""
        return self._reader.usage(Filter.of(**given), [name for name in group_by.split(",") if name])

    def lessons(self) -> builtins.list[Lesson]:
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

    def list(self, given: Given, limit: int, cursor: str | None) -> dict[str, Any]:
        """See `Records`."""
        page: dict[str, Any] = self._asked("/api/calls", {**given, "limit": limit, "cursor": cursor})
        return page

    def usage(self, given: Given, group_by: str) -> builtins.list[dict[str, Any]]:
        """See `Records`."""
        rows: builtins.list[dict[str, Any]] = self._asked("/api/usage", {**given, "group_by": group_by})["usage"]
        return rows

    def lessons(self) -> builtins.list[Lesson]:
        """Nothing: a collector doesn't give them away."""
        return []

    def _asked(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """The JSON of a question that every collector of this version answers."""
        found = self._get(path, {name: value for name, value in parameters.items() if value not in (None, "")})
        if found is None:
            raise StorageUnavailable(f"{self.name} has no {path}", hint="is it a collector, and of this version?")
        return found

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
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise QueryError(f"{self.name}: {said.get('error')}", hint=said.get("hint") or "see its /docs")
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
