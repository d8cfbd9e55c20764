"""Keeping the daily sums right when calls are deleted or changed.

Pruned calls stay in the sums, and are noted, so that it can still be proved what the sums are made of.
Corrected calls don't: the sums are then those of the calls as they are now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, select

from llmtoken.audit import replies
from llmtoken.audit.rollups import (
    COARSE,
    COUNTS,
    SUMS,
    Key,
    add,
    coarser,
    coarser_key,
    daily_usage,
    digest,
    merge,
    pruned_daily_usage,
    told_apart,
)
from llmtoken.audit.schema import calls
from llmtoken.audit.sums import days_of_calls, sums_of_days
from llmtoken.totals import EXACT

_WIDTH = 1 + len(told_apart(daily_usage))


def prune(connection: Connection, which: ColumnElement[bool]) -> None:
    """Note what these calls add up to as pruned; they must be deleted in the same transaction."""
    note_pruned(connection, days_of(connection, which))


def note_pruned(connection: Connection, days: Mapping[Key, Sequence[Any]]) -> None:
    """Note sums of `days_of` as pruned."""
    add(connection, pruned_daily_usage, days)


@contextmanager
def corrected(connection: Connection, which: ColumnElement[bool]) -> Iterator[None]:
    """Within it, change or delete the calls for which `which` is true; the daily sums follow.

    For whoever changes stored calls without pruning them: a new price, a consumer who is forgotten. All in
    one transaction. `which` must be true of the same calls before and after, so name them by `calls.id`;
    a few hundred a transaction keep it short for the writer. On PostgreSQL other writers wait until it ends.
    """
    replies.take_turns(connection, fetching=True)
    before = days_of(connection, which)
    yield
    after = days_of(connection, which)
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    # Where these calls say nothing any more, only the others can tell whether anybody does.
    vague = [key for key in changed if _less_is_said(before.get(key), after.get(key))]
    changes = {key: _difference(before.get(key), after.get(key)) for key in changed if key not in vague}
    add(connection, daily_usage, changes)
    for key in vague:
        _replace(connection, daily_usage, key, _of_rows(connection, key))
    for table in COARSE:
        anew = {coarser_key(key, table) for key in vague}
        add(connection, table, {key: sums for key, sums in coarser(changes, table).items() if key not in anew})
        for key in anew:
            _replace(connection, table, key, _of_finer(connection, table, key))


def days_of(connection: Connection, *which: ColumnElement[bool]) -> dict[Key, Sequence[Any]]:
    """What these calls add up to, by day and all that calls are told apart by."""
    rows = connection.execute(days_of_calls(connection, *which))
    return {tuple(row[:_WIDTH]): tuple(row[_WIDTH:]) for row in rows}


def _less_is_said(before: Sequence[Any] | None, after: Sequence[Any] | None) -> bool:
    if before is None or after is None:
        return after is None
    return any(new is None and old is not None for old, new in zip(before, after, strict=True))


def _difference(before: Sequence[Any] | None, after: Sequence[Any] | None) -> list[Any]:
    """What must be added; `None` changes nothing, 0 makes known what wasn't."""
    nothing = (None,) * len(SUMS)
    return [
        _less(new, old or 0) if name in COUNTS or new != old else None
        for name, old, new in zip(SUMS, before or nothing, after or nothing, strict=True)
    ]


def _less(one: Any, other: Any) -> Any:
    return EXACT.subtract(one, other) if isinstance(one, Decimal) else one - other


def _replace(connection: Connection, table: Table, key: Key, sums: Sequence[Any]) -> None:
    mine = (table.c.day == key[0], table.c.digest == digest(key[1:]))
    connection.execute(delete(table).where(*mine))
    if sums[0]:
        add(connection, table, {key: sums})


def _of_rows(connection: Connection, key: Key) -> Sequence[Any]:
    """What one row of `daily_usage` should be."""
    day = date.fromisoformat(key[0])
    within = calls.c.started_at.between(datetime.combine(day, time.min, UTC), datetime.combine(day, time.max, UTC))
    found: dict[Key, list[Any]] = {}
    for sums in days_of(connection, within, *_same(calls, daily_usage, key)).values():
        merge(found, key, sums)
    pruned = pruned_daily_usage.c
    noted = select(*(pruned[name] for name in SUMS)).where(pruned.day == key[0], pruned.digest == digest(key[1:]))
    for sums in connection.execute(noted):
        merge(found, key, tuple(sums))
    return found.get(key, (0,))


def _of_finer(connection: Connection, table: Table, key: Key) -> Sequence[Any]:
    """What one row of a coarser table should be."""
    query = select(*sums_of_days(connection, daily_usage))
    mine = (daily_usage.c.day == key[0], *_same(daily_usage, table, key))
    return tuple(connection.execute(query.where(*mine)).one())


def _same(source: Table, table: Table, key: Key) -> Iterator[ColumnElement[bool]]:
    """Rows of `source` that are told apart like this one of `table`; plain comparisons, which indexes answer."""
    for name, value in zip(told_apart(table), key[1:], strict=True):
        yield source.c[name].is_(None) if value is None else source.c[name] == value
