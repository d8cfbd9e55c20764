"""All rows of a question in order of arrival, as they are stored, in blocks: for whoever copies them elsewhere.

Order of arrival makes an interrupted copy go on where it stopped, and tomorrow's begin where
today's ended. Which rows belong to it is settled at the beginning: what arrives meanwhile is
the next copy's. Must not know what the copy looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    String,
    Text,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import TypeEngine

from llmtoken.audit.filter import Filter
from llmtoken.audit.schema import FIELDS, bodies, calls
from llmtoken.audit.values import Instant, Json, Money, rfc3339
from llmtoken.errors import QueryError

ROWS = 5000
"""Calls that are held at once."""
_TEXTS = 16
"""Calls whose bodies are held at once: each may have megabytes."""

Kind = Literal["integer", "number", "boolean", "text", "time", "money", "json"]

_KINDS: tuple[tuple[type[TypeEngine[Any]], Kind], ...] = (
    (Instant, "time"),
    (Money, "money"),
    (Json, "json"),
    (Boolean, "boolean"),
    (Float, "number"),
    (BigInteger, "integer"),
    (Integer, "integer"),
    (String, "text"),
)

_CALLS: tuple[Column[Any], ...] = (calls.c.id, *FIELDS, calls.c.counted_by)
_TEXT = (bodies.c.request_body, bodies.c.response_body)


class Field(NamedTuple):
    """A value of each row, by name. Times are RFC 3339, money its digits, JSON its text; unknown is `None`."""

    name: str
    kind: Kind


def fields(*, with_bodies: bool) -> tuple[Field, ...]:
    """What a row has: `id` first, then the fields of `Call`, `counted_by`, and the bodies if they are wanted."""
    columns = (*_CALLS, *_TEXT) if with_bodies else _CALLS
    return tuple(
        Field(str(column.name), next(kind for type_, kind in _KINDS if isinstance(column.type, type_)))
        for column in columns
    )


Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Span:
    """The ids between which all rows are: behind `after`, up to `last`."""

    after: int
    last: int


def span(connection: Connection, which: Filter, after: int) -> Span:
    """Where the rows of a copy that begins behind `after` are, as of now. Raises `QueryError`."""
    if which.q is not None:
        raise QueryError("An export isn't searched for what was said", hint="leave q out, or list the calls as JSON")
    first, last = func.min(calls.c.id), func.max(calls.c.id)
    query = select(first, last).where(calls.c.id > after, *which.conditions())
    begin, end = connection.execute(query).one()
    return Span(after, after) if begin is None else Span(begin - 1, end)


def block(connection: Connection, which: Filter, where: Span, *, with_bodies: bool) -> Sequence[Row]:
    """The first rows of a span; none when there are no more."""
    query = _query(connection, which, where).limit(_TEXTS if with_bodies else ROWS)
    rows: Sequence[Row] = connection.execute(query).all()
    if connection.dialect.name == "postgresql":
        rows = list(map(_as_text, rows))
    if not with_bodies or not rows:
        return rows
    found = connection.execute(select(bodies).where(bodies.c.call_id.in_([row[0] for row in rows])))
    texts = {key: said for key, *said in found}
    return [(*row, *texts.get(row[0], (None, None))) for row in rows]


def _query(connection: Connection, which: Filter, where: Span) -> Select[Any]:
    conditions: Sequence[ColumnElement[bool]] = which.conditions()
    if connection.dialect.name == "sqlite":
        conditions = [replacement_traverse(each, {}, _unindexed) for each in conditions]
    query = select(*map(_as_stored, _CALLS)).where(calls.c.id > where.after, calls.c.id <= where.last, *conditions)
    return query.order_by(calls.c.id)


def _as_stored(column: Column[Any]) -> ColumnElement[Any]:
    """A column without what would be made of it only to be written out again."""
    return type_coerce(column, Text()).label(column.name) if isinstance(column.type, Instant | Json | Money) else column


def _unindexed(element: Any, **_: Any) -> ColumnElement[Any] | None:
    """A column that SQLite uses no index for: it would sort all rows that fit anew for each block."""
    if isinstance(element, Column) and element.table is calls:
        return literal_column(f"+calls.{element.name}", element.type)
    return None


def _as_text(row: Row) -> list[Any]:
    """PostgreSQL has types for times and money; as text they are what they are in SQLite."""
    found = list(row)
    for index, column in enumerate(_CALLS):
        if (value := found[index]) is not None and isinstance(column.type, Instant | Money):
            found[index] = rfc3339(value) if isinstance(column.type, Instant) else f"{value:f}"
    return found
