"""The counters' totals, kept in the very transaction that stores the calls they count.

A `series` is one set of labels of one collector; each call names the series that it is
counted under, so what a counter stands at can be held against its rows at any time. One
collector writes the series of its `instance`: it knows them all, and writes a changed total
as a whole. What deleted calls had added up to is kept apart, by whoever deletes them, and so is what
corrected prices change. Must not
know how calls are stored (`llmtoken.audit.writer` does) or shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    String,
    Table,
    and_,
    case,
    func,
    insert,
    null,
    or_,
    select,
)

from llmtoken.audit import values
from llmtoken.audit.repricings import Correction
from llmtoken.audit.schema import SHORT, Key, calls, metadata
from llmtoken.audit.upsert import upsert
from llmtoken.audit.values import Instant, Json, Money
from llmtoken.totals import EXACT, NOTHING, Labels, Sums, difference, plus

series = Table(
    "series",
    metadata,
    Column("id", Key, primary_key=True, doc="What `calls.series_id` names."),
    Column("instance", String(SHORT), nullable=False, doc="Collector whose counters these are (setting `instance`)."),
    Column("labels", Json(), nullable=False, doc="As `/metrics` shows them: a JSON object; unknown ones left out."),
    Column("created_at", Instant(), nullable=False, doc="When its first call was counted, UTC."),
    Index("series_instance", "instance"),
)


def _sums(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("series_id", Key, ForeignKey(series.c.id), primary_key=True, autoincrement=False, doc="The series."),
        Column("calls", BigInteger(), nullable=False, doc="Calls."),
        Column("unpriced_calls", BigInteger(), nullable=False, doc="Calls with tokens, but no price known."),
        Column("input_tokens", BigInteger(), doc="Tokens in; null when no call said."),
        Column("output_tokens", BigInteger(), doc="Tokens out, likewise."),
        Column("cache_read_input_tokens", BigInteger(), doc="Part of the input that was read from a cache."),
        Column("cache_write_input_tokens", BigInteger(), doc="Part of the input that was written to a cache."),
        Column("reasoning_output_tokens", BigInteger(), doc="Part of the output that was reasoning."),
        Column("cost", Money(), doc="US dollars, exact."),
    )


totals = _sums("totals")
pruned_totals = _sums("pruned_totals")
"""What calls that were deleted had added up to: `totals` is this and the sums over `calls`. Retention writes it."""

repriced_totals = Table(
    "repriced_totals",
    metadata,
    Column("series_id", Key, ForeignKey(series.c.id), primary_key=True, autoincrement=False, doc="The series."),
    Column("unpriced_calls", BigInteger(), nullable=False, doc="Calls that lost their price, less those that got one."),
    Column("cost", Money(), nullable=False, doc="What its calls cost more since, US dollars, exact; may be negative."),
)
"""What corrected prices have changed in the rows: a counter can't fall, so `totals` stays what was counted."""

SUMS = tuple(totals.c[name] for name in Sums._fields)


class Counters:
    """The totals of one collector, as they stand after the last commit."""

    def __init__(self, instance: str, connection: Connection) -> None:
        self.instance = instance
        self.totals: dict[Labels, Sums] = {}
        """In order of the series' making, so that limits on their number take the same ones after each start."""
        self.ids: dict[Labels, int] = {}
        found = select(series.c.id, series.c.labels, *SUMS).join_from(series, totals)
        mine = found.where(series.c.instance == instance).order_by(series.c.id)
        for key, known, *sums in connection.execute(mine):
            labels = Labels(**known)
            self.ids[labels] = key
            self.totals[labels] = Sums(*sums)
        first = select(func.min(series.c.created_at)).where(series.c.instance == instance)
        self.began: datetime = connection.execute(first).scalar() or datetime.now(UTC)
        """When the first of these calls was counted: before, all of them stood at 0."""


class Entry:
    """What one transaction adds. `write` it within the transaction, `keep` it once that is committed."""

    def __init__(self, counters: Counters, connection: Connection) -> None:
        self._counters = counters
        self._connection = connection
        self._made: dict[Labels, int] = {}
        self._changed: dict[Labels, Sums] = {}

    def series(self, labels: Labels) -> int:
        """The key of the series with these labels; a new one is made."""
        key = self._counters.ids.get(labels) or self._made.get(labels)
        if key is None:
            row = {"instance": self._counters.instance, "labels": shown(labels), "created_at": datetime.now(UTC)}
            key = int(self._connection.execute(insert(series).returning(series.c.id), row).scalar_one())
            self._made[labels] = key
        return key

    def add(self, labels: Labels, sums: Sums) -> None:
        """Count what calls that are new add up to."""
        before = self._changed.get(labels) or self._counters.totals.get(labels, NOTHING)
        self._changed[labels] = plus(before, sums)

    def write(self) -> None:
        """Write every total that has changed, and that of a series that was made for a call that wasn't new."""
        changed = dict.fromkeys(self._made, NOTHING) | self._changed
        upsert(self._connection, totals, [[self.series(labels), *sums] for labels, sums in changed.items()])

    def keep(self) -> None:
        """The transaction is committed: these are the totals now."""
        self._counters.ids.update(self._made)
        self._counters.totals.update(dict.fromkeys(self._made, NOTHING) | self._changed)


def added_up(connection: Connection) -> tuple[ColumnElement[Any], ...]:
    """What calls add up to, as columns of a query: `Sums` in SQL."""
    # PostgreSQL's sum of bigints is numeric.
    tokens = (func.sum(calls.c[name]).cast(BigInteger).label(name) for name in Sums._fields[2:7])
    exact = func.exact_sum if connection.dialect.name == "sqlite" else func.sum
    used = or_(calls.c.input_tokens != 0, calls.c.output_tokens != 0)
    unpriced = func.count(case((and_(calls.c.cost.is_(None), used), 1), else_=null()))
    return (
        func.count().label("calls"),
        unpriced.label("unpriced_calls"),
        *tokens,
        exact(calls.c.cost, type_=Money()).label("cost"),
    )


def take_out(connection: Connection, which: ColumnElement[bool]) -> None:
    """Add to `pruned_totals` what these calls add up to; they must be deleted in the same transaction."""
    add_pruned(connection, leaving(connection, which))


def leaving(connection: Connection, which: ColumnElement[bool]) -> dict[int, Sums]:
    """What these calls add up to, by series."""
    query = select(calls.c.series_id, *added_up(connection)).where(which, calls.c.series_id.is_not(None))
    return {key: Sums._make(sums) for key, *sums in connection.execute(query.group_by(calls.c.series_id))}


def add_pruned(connection: Connection, gone: dict[int, Sums]) -> None:
    """Add these sums to `pruned_totals`."""
    if not gone:
        return
    before = select(pruned_totals.c.series_id, *(pruned_totals.c[name] for name in Sums._fields))
    for key, *sums in connection.execute(before.where(pruned_totals.c.series_id.in_(gone))):
        gone[key] = plus(Sums._make(sums), gone[key])
    upsert(connection, pruned_totals, [[key, *sums] for key, sums in gone.items()])


def correct(connection: Connection, corrections: Iterable[Correction]) -> None:
    """Add to `repriced_totals` what these corrections change; they must be made in the same transaction."""
    changed: dict[int, tuple[int, Decimal]] = {}
    for each in corrections:
        if each.series_id is not None:
            unpriced, cost = changed.get(each.series_id, (0, Decimal(0)))
            unpriced += each.used * ((each.new_cost is None) - (each.old_cost is None))
            changed[each.series_id] = unpriced, EXACT.add(cost, difference(each.old_cost, each.new_cost))
    if not changed:
        return
    before = select(repriced_totals).where(repriced_totals.c.series_id.in_(changed))
    for key, unpriced, cost in connection.execute(before):
        changed[key] = unpriced + changed[key][0], EXACT.add(cost, changed[key][1])
    upsert(connection, repriced_totals, [[key, unpriced, cost] for key, (unpriced, cost) in changed.items()])


def shown(labels: Labels) -> Mapping[str, str | int | bool]:
    """The labels that are known, by name, as text that every database takes."""
    return {
        name: values.text(value) if isinstance(value, str) else value
        for name, value in labels._asdict().items()
        if value is not None and value != ""
    }
