"""Whether the daily sums are those of the calls: each row against the calls, and what was pruned of them.

Asked of the database alone, in one statement, as `llmtoken.audit.balance` asks for the counters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, literal, null, select, union_all

from llmtoken.audit.rollups import COARSE, SUMS, Key, coarser, daily_usage, merge, pruned_daily_usage, told_apart
from llmtoken.audit.sums import days_of_calls

_APART = told_apart(daily_usage)


@dataclass(frozen=True, slots=True)
class RollupDifference:
    """A sum that isn't what its calls add up to. `group` is what they are told apart by, `name` a column of `table`."""

    table: str
    day: str
    group: Mapping[str, Any]
    name: str
    kept: str | None
    rows: str | None


def verify(connection: Connection) -> tuple[RollupDifference, ...]:
    """Look at every day; reads all of `calls`."""
    found: dict[str, dict[Key, list[Any]]] = {name: {} for name in ("calls", *(table.name for table in _TABLES))}
    width = 2 + len(_APART)
    for kind, *row in connection.execute(union_all(_of_calls(connection), *map(_of_table, _TABLES))):
        merge(found[kind], tuple(row[: width - 1]), row[width - 1 :])
    there = found["calls"]
    for key, sums in found[pruned_daily_usage.name].items():
        merge(there, key, sums)
    return tuple(
        difference
        for table in (daily_usage, *COARSE)
        for difference in _differences(
            table, found[table.name], there if table is daily_usage else coarser(there, table)
        )
    )


_TABLES = (daily_usage, *COARSE, pruned_daily_usage)


def _of_calls(connection: Connection) -> Select[Any]:
    days = days_of_calls(connection).subquery()
    return select(literal("calls"), *days.columns)


def _of_table(table: Table) -> Select[Any]:
    apart = (table.c[name] if name in table.c else null() for name in _APART)
    return select(literal(table.name), table.c.day, *apart, *(table.c[name] for name in SUMS))


def _differences(
    table: Table, kept: Mapping[Key, Sequence[Any]], there: Mapping[Key, Sequence[Any]]
) -> Iterator[RollupDifference]:
    names = told_apart(table)
    nothing = (None,) * len(SUMS)
    if table is not daily_usage:
        kept = coarser(kept, table)
    for key in sorted(kept.keys() | there.keys(), key=str):
        pairs = zip(SUMS, kept.get(key, nothing), there.get(key, nothing), strict=True)
        for name, one, other in pairs:
            if one != other:
                group = dict(zip(names, key[1:], strict=True))
                yield RollupDifference(table.name, key[0], group, name, shown(one), shown(other))


def shown(value: Any) -> str | None:
    """A sum as text, with all its digits."""
    return None if value is None else f"{value:f}" if not isinstance(value, int) else str(value)
