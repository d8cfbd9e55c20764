"""What calls add up to: by hour, day or month, and by what they are filtered by.

Must not know how calls are stored or shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
)

from llmtoken.audit.filter import DIMENSIONS, Filter
from llmtoken.audit.schema import TOKENS, calls
from llmtoken.audit.values import Money
from llmtoken.errors import QueryError

_BUCKETS = {
    "hour": ("substr(started_at, 1, 13) || ':00:00Z'", """'YYYY-MM-DD"T"HH24:00:00"Z"'"""),
    "day": ("substr(started_at, 1, 10)", "'YYYY-MM-DD'"),
    "month": ("substr(started_at, 1, 7)", "'YYYY-MM'"),
}
"""How a time is cut in SQLite, where it is text, and in PostgreSQL. In UTC."""

GROUPS = (*_BUCKETS, *DIMENSIONS)
"""What may be grouped by."""


def usage(connection: Connection, which: Filter, group_by: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each group, JSON-ready: see `Reader.usage`. Raises `QueryError`."""
    names = _checked(group_by)
    found = connection.execute(_query(connection, which, names)).mappings()
    rows = [dict(row) for row in found]
    for row in rows:
        row["cost"] = None if row["cost"] is None else f"{row['cost']:f}"
    rows.sort(key=lambda row: _order(row, names))
    return rows


def _checked(group_by: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(group_by))
    hint = f"group by one of {', '.join(_BUCKETS)} and any of {', '.join(DIMENSIONS)}"
    for name in names:
        if name not in GROUPS:
            raise QueryError(f"Usage can't be grouped by {name!r}", hint=hint)
    if sum(name in _BUCKETS for name in names) > 1:
        raise QueryError("Usage can be grouped by one length of time only", hint=hint)
    return names


def _query(connection: Connection, which: Filter, names: Sequence[str]) -> Select[Any]:
    keys = [_key(connection, name).label(name) for name in names]
    exact = func.exact_sum if connection.dialect.name == "sqlite" else func.sum
    used = or_(calls.c.input_tokens != 0, calls.c.output_tokens != 0)
    sums = (
        func.count().label("calls"),
        func.count(calls.c.error_type).label("errors"),
        *(func.sum(column).cast(BigInteger).label(column.name) for column in TOKENS),
        _count(calls.c.usage_source.in_(("estimated", "partial"))).label("estimated_calls"),
        exact(calls.c.cost, type_=Money()).label("cost"),
        _count(calls.c.cost.is_(None) & used).label("unpriced_calls"),
    )
    return select(*keys, *sums).where(*which.conditions()).group_by(*(key.element for key in keys))


def _key(connection: Connection, name: str) -> ColumnElement[Any]:
    if name in DIMENSIONS:
        return DIMENSIONS[name]
    as_text, pattern = _BUCKETS[name]
    if connection.dialect.name == "sqlite":
        return literal_column(as_text, Text())
    # As literals: PostgreSQL must see that what is selected is what is grouped by.
    return func.to_char(func.timezone(literal_column("'UTC'"), calls.c.started_at), literal_column(pattern))


def _count(true: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((true, 1), else_=null()))


def _order(row: dict[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    """By time, then the most calls first, then by name."""
    times = tuple(row[name] for name in names if name in _BUCKETS)
    return (*times, -row["calls"], *(str(row[name]) for name in names))
