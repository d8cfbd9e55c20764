"""What is added up for usage, in SQL: over calls, or over the daily sums of them.

The columns are `rollups.SUMS`, in their order, so that rows and roll-ups can be added and compared.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    and_,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
)

from llmtoken.audit.rollups import ESTIMATED, SUMS, daily_usage, told_apart
from llmtoken.audit.schema import TOKENS, calls
from llmtoken.audit.values import Money

_BUCKETS = {
    "hour": ("substr(calls.started_at, 1, 13) || ':00:00Z'", """'YYYY-MM-DD"T"HH24:00:00"Z"'"""),
    "day": ("substr(calls.started_at, 1, 10)", "'YYYY-MM-DD'"),
    "month": ("substr(calls.started_at, 1, 7)", "'YYYY-MM'"),
}
"""How a time is cut in SQLite, where it is text, and in PostgreSQL. In UTC."""

BUCKETS = tuple(_BUCKETS)


def bucket_of_calls(connection: Connection, name: str) -> ColumnElement[str]:
    """The hour, day or month of a call."""
    as_text, pattern = _BUCKETS[name]
    if connection.dialect.name == "sqlite":
        return literal_column(as_text, Text())
    # As literals: PostgreSQL must see that what is selected is what is grouped by.
    return func.to_char(func.timezone(literal_column("'UTC'"), calls.c.started_at), literal_column(pattern))


def sums_of_calls(connection: Connection) -> tuple[ColumnElement[Any], ...]:
    """The sums over `calls`."""
    used = or_(calls.c.input_tokens != 0, calls.c.output_tokens != 0)
    return (
        func.count().label("calls"),
        func.count(calls.c.error_type).label("errors"),
        *map(_sum, TOKENS),
        _count(calls.c.usage_source.in_(ESTIMATED)).label("estimated_calls"),
        _count(and_(calls.c.cost.is_(None), used)).label("unpriced_calls"),
        _cost(connection, calls),
    )


def sums_of_days(connection: Connection, table: Table) -> tuple[ColumnElement[Any], ...]:
    """The sums over one of the tables of `llmtoken.audit.rollups`."""
    return (*(_sum(table.c[name]) for name in SUMS[:-1]), _cost(connection, table))


def days_of_calls(connection: Connection, *which: ColumnElement[bool]) -> Select[Any]:
    """The rows that `daily_usage` should have for these calls, but for the digest."""
    day = bucket_of_calls(connection, "day")
    apart = [calls.c[name] for name in told_apart(daily_usage)]
    return select(day.label("day"), *apart, *sums_of_calls(connection)).where(*which).group_by(day, *apart)


def _sum(column: ColumnElement[Any]) -> ColumnElement[Any]:
    # PostgreSQL's sum of bigints is numeric.
    return func.sum(column).cast(BigInteger).label(column.key)


def _count(true: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((true, 1), else_=null()))


def _cost(connection: Connection, table: Table) -> ColumnElement[Any]:
    exact = func.exact_sum if connection.dialect.name == "sqlite" else func.sum
    return exact(table.c.cost, type_=Money()).label("cost")
