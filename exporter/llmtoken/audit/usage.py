"""What calls add up to: by hour, day or month, and by what they are filtered by.

Whole days are read from the daily sums, from the coarsest table that tells apart what is asked for; the parts of
days at both ends, and hours, from the calls. Must not know how either is stored or shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal_column, select

from llmtoken.audit import rollups
from llmtoken.audit.filter import DIMENSIONS, Filter
from llmtoken.audit.rollups import SUMS
from llmtoken.audit.schema import calls
from llmtoken.audit.sums import BUCKETS, bucket_of_calls, sums_of_calls, sums_of_days
from llmtoken.errors import QueryError

GROUPS = (*BUCKETS, *DIMENSIONS)
"""What may be grouped by."""

_TABLES = (*rollups.COARSE, rollups.daily_usage)
"""The smallest first."""


def usage(connection: Connection, which: Filter, group_by: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each group, JSON-ready: see `Reader.usage`. Raises `QueryError`."""
    names = _checked(group_by)
    if which.q is not None:
        raise QueryError("What was said isn't added up", hint="leave q out, or list the calls and add them up yourself")
    found: dict[rollups.Key, list[Any]] = {}
    for query in _queries(connection, which, names):
        for row in connection.execute(query):
            rollups.merge(found, tuple(row[: len(names)]), tuple(row[len(names) :]))
    if not names:
        rollups.merge(found, (), [0 if name in rollups.COUNTS else None for name in SUMS])
    rows = [dict(zip((*names, *SUMS), (*key, *sums), strict=True)) for key, sums in found.items()]
    for each in rows:
        each["cost"] = None if each["cost"] is None else f"{each['cost']:f}"
    return sorted(rows, key=lambda row: _order(row, names))


def _checked(group_by: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(group_by))
    hint = f"group by one of {', '.join(BUCKETS)} and any of {', '.join(DIMENSIONS)}"
    for name in names:
        if name not in GROUPS:
            raise QueryError(f"Usage can't be grouped by {name!r}", hint=hint)
    if sum(name in BUCKETS for name in names) > 1:
        raise QueryError("Usage can be grouped by one length of time only", hint=hint)
    return names


def _queries(connection: Connection, which: Filter, names: Sequence[str]) -> Iterator[Select[Any]]:
    """Queries of the same columns, which add up to the answer: no moment is in two of them."""
    first, last = _whole_days(which)
    if "hour" in names or (first is not None and last is not None and first >= last):
        yield _of_calls(connection, which, names)
        return
    yield _of_days(connection, which, names, first, last)
    if first is not None and which.since != _begin(first):
        yield _of_calls(connection, which, names, calls.c.started_at < _begin(first))
    if last is not None and which.until != _begin(last):
        yield _of_calls(connection, which, names, calls.c.started_at >= _begin(last))


def _whole_days(which: Filter) -> tuple[date | None, date | None]:
    """The first day that is asked for as a whole, and the one behind the last."""
    first, last = which.since, which.until
    if first is not None and first.timetz() != time(tzinfo=UTC) and first.date() < date.max:
        first += timedelta(days=1)
    return first.date() if first is not None else None, last.date() if last is not None else None


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _of_calls(connection: Connection, which: Filter, names: Sequence[str], *more: ColumnElement[bool]) -> Select[Any]:
    keys = [DIMENSIONS[name] if name in DIMENSIONS else bucket_of_calls(connection, name) for name in names]
    return select(*keys, *sums_of_calls(connection)).where(*which.conditions(), *more).group_by(*keys)


def _of_days(
    connection: Connection, which: Filter, names: Sequence[str], first: date | None, last: date | None
) -> Select[Any]:
    asked = {*names, *which.dimensions()}.intersection(DIMENSIONS)
    table = next(
        table for table in _TABLES if {DIMENSIONS[name].key for name in asked} <= set(rollups.told_apart(table))
    )
    keys = list(_keys(table, names))
    query = select(*keys, *sums_of_days(connection, table)).where(*which.of_dimensions(table.c)).group_by(*keys)
    if first is not None:
        query = query.where(table.c.day >= first.isoformat())
    if last is not None:
        query = query.where(table.c.day < last.isoformat())
    return query


def _keys(table: Table, names: Iterable[str]) -> Iterator[ColumnElement[Any]]:
    for name in names:
        if name == "month":
            yield func.substr(table.c.day, literal_column("1"), literal_column("7"))
        else:
            yield table.c.day if name == "day" else table.c[DIMENSIONS[name].key]


def _order(row: dict[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    """By time, then the most calls first, then by name."""
    times = tuple(row[name] for name in names if name in BUCKETS)
    return (*times, -row["calls"], *(str(row[name]) for name in names))
