"""Whether the books balance: each counter's total and each day's sums against the rows that they count.

A total must be what the calls of its series add up to, with those that were pruned. Asked of
the database alone, in one statement, so that a commit in between can't look like an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    func,
    literal,
    select,
    union_all,
)

from llmtoken.audit import rollup_balance
from llmtoken.audit.counters import SUMS, added_up, pruned_totals, series, totals
from llmtoken.audit.rollup_balance import RollupDifference, shown
from llmtoken.audit.schema import calls
from llmtoken.totals import NOTHING, Sums, plus


@dataclass(frozen=True, slots=True)
class Difference:
    """A total that isn't what its rows add up to. `labels` are of its series, `name` is a column of `totals`."""

    instance: str
    labels: Mapping[str, Any]
    name: str
    counter: str | None
    rows: str | None


@dataclass(frozen=True, slots=True)
class Balance:
    """What was looked at, and what is wrong with it. `uncounted` calls are from before there were totals."""

    instances: int
    series: int
    calls: int
    pruned: int
    uncounted: int
    differences: tuple[Difference, ...]
    rollup_differences: tuple[RollupDifference, ...]

    @property
    def balanced(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.differences or self.rollup_differences)


class Watch:
    """Looks at one collector's books again and again, each time only at the rows that are new since the last."""

    def __init__(self, instance: str) -> None:
        self._mine = series.c.instance == instance
        self._confirmed = 0
        self._begin()

    def unbalanced(self, connection: Connection) -> int:
        """How many series don't balance. The first time all rows are read, which takes seconds a million.

        What is pruned later was seen before, and stays what it added. What was pruned before we saw
        it looks like an error at first, so nothing is called one before all was read anew.
        """
        found = self._look(connection)
        if found not in (0, self._confirmed):
            self._begin()
            found = self._look(connection)
        self._confirmed = found
        return found

    def _begin(self) -> None:
        self._seen: dict[int, Sums] = {}
        self._last, self._began = 0, False

    def _look(self, connection: Connection) -> int:
        found = _read(connection, self._mine, after=self._last, with_pruned=not self._began)
        self._began = True
        for key, sums in (*found.rows.items(), *found.pruned.items()):
            self._seen[key] = plus(self._seen.get(key, NOTHING), sums)
        self._last = max(self._last, found.last)
        return sum(self._seen.get(key, NOTHING) != found.totals.get(key, NOTHING) for key in self._seen | found.totals)


def verify(connection: Connection) -> Balance:
    """Look at everything: every collector's counters, every day's sums, every row."""
    found = _read(connection, None)
    named = {row.id: row for row in connection.execute(select(series))}
    uncounted = connection.execute(select(func.count()).select_from(calls).where(calls.c.series_id.is_(None)))

    def differences() -> Iterator[Difference]:
        for key in sorted(found.totals | found.rows | found.pruned):
            counted = found.totals.get(key, NOTHING)
            there = plus(found.rows.get(key, NOTHING), found.pruned.get(key, NOTHING))
            whose = named.get(key)
            for name, one, other in zip(Sums._fields, counted, there, strict=True):
                if one != other:
                    yield Difference(
                        whose.instance if whose else f"(no series {key})",
                        whose.labels if whose else {},
                        name,
                        shown(one),
                        shown(other),
                    )

    return Balance(
        instances=len({row.instance for row in named.values()}),
        series=len(named),
        calls=sum(sums.calls for sums in found.rows.values()),
        pruned=sum(sums.calls for sums in found.pruned.values()),
        uncounted=int(uncounted.scalar_one()),
        differences=tuple(differences()),
        rollup_differences=rollup_balance.verify(connection),
    )


@dataclass(slots=True)
class _Found:
    """The three sides by series, and the last row that was read."""

    rows: dict[int, Sums]
    pruned: dict[int, Sums]
    totals: dict[int, Sums]
    last: int = 0


def _read(
    connection: Connection, mine: ColumnElement[bool] | None, *, after: int = 0, with_pruned: bool = True
) -> _Found:
    found = _Found({}, {}, {})
    # The third column is 0 but for calls; the first select's types are those of all.
    parts = [_of_calls(connection, mine, after), _kept("totals", totals, mine)]
    if with_pruned:
        parts.append(_kept("pruned", pruned_totals, mine))
    for kind, key, last, *sums in connection.execute(union_all(*parts)):
        side: dict[int, Sums] = getattr(found, kind)
        side[key] = Sums._make(sums)
        found.last = max(found.last, last)
    return found


def _of_calls(connection: Connection, mine: ColumnElement[bool] | None, after: int) -> Select[Any]:
    query = select(
        literal("rows").label("kind"),
        calls.c.series_id,
        func.max(calls.c.id).label("last"),
        *added_up(connection),
    ).where(calls.c.id > after)
    if mine is None:
        query = query.where(calls.c.series_id.is_not(None))
    else:
        query = query.join(series, series.c.id == calls.c.series_id).where(mine)
    return query.group_by(calls.c.series_id)


def _kept(kind: str, table: Table, mine: ColumnElement[bool] | None) -> Select[Any]:
    query = select(literal(kind), table.c.series_id, literal(0), *(table.c[column.name] for column in SUMS))
    return query if mine is None else query.join(series, series.c.id == table.c.series_id).where(mine)
