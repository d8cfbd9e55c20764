"""Whether the books balance: each counter's total and each day's sums against the rows that they count.

A total must be what the calls of its series add up to, with those that were pruned, and without what
repricing has changed since they were counted. Asked of the database alone, in one statement, so
that a commit in between can't look like an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    func,
    literal,
    null,
    select,
    union_all,
)

from llmtoken.audit import rollup_balance
from llmtoken.audit.counters import SUMS, added_up, pruned_totals, repriced_totals, series, totals
from llmtoken.audit.rollup_balance import RollupDifference, shown
from llmtoken.audit.schema import calls
from llmtoken.totals import NOTHING, Sums, difference, plus


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
    """What was looked at, and what is wrong with it. `uncounted` calls are from before there were totals.

    `repriced` is how many US dollars the calls cost more than they were counted with.
    """

    instances: int
    series: int
    calls: int
    pruned: int
    uncounted: int
    repriced: str
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

        What is pruned or repriced later was seen before, and stays what it added. What was before we saw
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
        found = _read(connection, self._mine, after=self._last, with_gone=not self._began)
        self._began = True
        for key, sums in (*found.rows.items(), *found.pruned.items(), *found.repriced.items()):
            self._seen[key] = plus(self._seen.get(key, NOTHING), sums)
        self._last = max(self._last, found.last)
        return sum(_of(self._seen, key) != _of(found.totals, key) for key in self._seen | found.totals)


def verify(connection: Connection) -> Balance:
    """Look at everything: every collector's counters, every day's sums, every row."""
    found = _read(connection, None)
    named = {row.id: row for row in connection.execute(select(series))}
    uncounted = connection.execute(select(func.count()).select_from(calls).where(calls.c.series_id.is_(None)))

    def differences() -> Iterator[Difference]:
        for key in sorted(found.totals | found.rows | found.pruned | found.repriced):
            counted, there = _of(found.totals, key), _plain(found.counted(key))
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
        repriced=f"{difference(reduce(plus, found.repriced.values(), NOTHING).cost, None):f}",
        differences=tuple(differences()),
        rollup_differences=rollup_balance.verify(connection),
    )


@dataclass(slots=True)
class _Found:
    """The sides by series, and the last row that was read. What was repriced is what it takes to undo that."""

    rows: dict[int, Sums]
    pruned: dict[int, Sums]
    repriced: dict[int, Sums]
    totals: dict[int, Sums]
    last: int = 0

    def counted(self, key: int) -> Sums:
        """What the rows of a series came to when they were counted."""
        sides = (self.rows, self.pruned, self.repriced)
        return reduce(plus, (side.get(key, NOTHING) for side in sides))


def _read(
    connection: Connection, mine: ColumnElement[bool] | None, *, after: int = 0, with_gone: bool = True
) -> _Found:
    found = _Found({}, {}, {}, {})
    # The third column is 0 but for calls; the first select's types are those of all.
    parts = [_of_calls(connection, mine, after), _kept("totals", totals, mine)]
    if with_gone:
        parts += [_kept("pruned", pruned_totals, mine), _repriced(mine)]
    for kind, key, last, *sums in connection.execute(union_all(*parts)):
        side: dict[int, Sums] = getattr(found, kind)
        side[key] = _undone(Sums._make(sums)) if kind == "repriced" else Sums._make(sums)
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


def _repriced(mine: ColumnElement[bool] | None) -> Select[Any]:
    kept = {"calls": literal(0), "unpriced_calls": repriced_totals.c.unpriced_calls, "cost": repriced_totals.c.cost}
    sums = (kept.get(name, null()) for name in Sums._fields)
    query = select(literal("repriced"), repriced_totals.c.series_id, literal(0), *sums)
    return query if mine is None else query.join(series, series.c.id == repriced_totals.c.series_id).where(mine)


def _undone(changed: Sums) -> Sums:
    return changed._replace(unpriced_calls=-changed.unpriced_calls, cost=difference(changed.cost, None))


def _of(side: Mapping[int, Sums], key: int) -> Sums:
    return _plain(side.get(key, NOTHING))


def _plain(sums: Sums) -> Sums:
    """No cost is 0 here, as it is when a price came and went."""
    return sums if sums.cost else sums._replace(cost=None)
