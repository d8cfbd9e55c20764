"""Pages of calls, newest first, that stay right while rows arrive.

A cursor is a place between two calls, not a number of rows to skip: a page begins right behind
the last call of the one before, so a new call shifts nothing, and a deep page costs what the
first one does. Must not know how rows are shown.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, Row, Select, literal, tuple_

from llmtoken.audit import narrowing, search
from llmtoken.audit.filter import Filter
from llmtoken.audit.schema import calls
from llmtoken.audit.values import Instant, rfc3339
from llmtoken.errors import QueryError

MOST = 1000
"""Calls of a page."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, newest first, each as `Reader.call` gives it; `next_cursor` is `None` behind the last one."""

    calls: list[dict[str, Any]]
    next_cursor: str | None


def rows(
    connection: Connection, query: Select[Any], which: Filter, limit: int, cursor: str | None
) -> Sequence[Row[Any]]:
    """The page's rows, and one more if there is one. Raises `QueryError`."""
    if not 1 <= limit <= MOST:
        raise QueryError(f"limit is {limit}", hint=f"ask for 1 to {MOST} calls at once, and for more with the cursor")
    wanted = limit + 1
    before, key = (None, None) if cursor is None else _place(cursor)
    query = query.where(*which.conditions()).order_by(calls.c.started_at.desc(), calls.c.id.desc())
    if which.q is not None:
        return connection.execute(search.newest(connection, query, which.q, key).limit(wanted)).all()
    if before is not None:
        query = query.where(tuple_(calls.c.started_at, calls.c.id) < tuple_(literal(before, Instant()), literal(key)))
    places = narrowing.places(connection, which, wanted, before)
    if places is None:
        return connection.execute(query.limit(wanted)).all()
    found: list[Row[Any]] = []
    for place in places:
        found += connection.execute(query.where(*place.conditions()).limit(wanted - len(found)))
        if len(found) == wanted:
            break
    return found


def cursor_behind(row: Row[Any]) -> str:
    """The cursor of the page that begins behind this row, which has `started_at` and `id`."""
    return _cursor(row.started_at, row.id)


_Key = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def _cursor(moment: datetime, key: int) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([rfc3339(moment), key])).rstrip(b"=").decode()


def _place(cursor: str) -> tuple[datetime, int]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        moment, key = msgspec.json.decode(text, type=tuple[datetime, _Key])
        if _cursor(moment, key) != cursor:
            raise ValueError("it reads like one, but we write it otherwise")  # noqa: TRY301 - said once, below
    except ValueError as error:
        raise QueryError(
            "The cursor isn't one of ours", hint="give next_cursor as it came, or leave it out to begin with the newest"
        ) from error
    return moment, key
