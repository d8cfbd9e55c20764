"""Corrects what calls cost after a price changed: looked at first, then in small transactions, also beside a collector.

A batch is one transaction that changes the rows, adds the difference to `repriced_totals` and writes
the log, so that the books balance wherever it is cut off, and a run that was cut off is
finished by the next. Must not know prices: it is told what each call costs.

Why so: docs/adr/repricing.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select, update

from llmtoken.audit import corrections, counters, replies, repricings, values
from llmtoken.audit.filter import Filter
from llmtoken.audit.repricings import Account, Correction, Repriced
from llmtoken.audit.schema import TOKENS, calls
from llmtoken.audit.seals.marks import Marks

Pricer = Callable[[Any], tuple[Decimal, str] | None]
"""What a call costs by the prices of today, and the price's version. Asked with a row that has `Call`'s attributes."""

_PAGE = 1000
"""Rows that are read at once."""

_BATCH = 200
"""Most rows of a transaction: some milliseconds, then the database has as long for others."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    looked_at: int
    total: int


Advanced = Callable[[Progress], None]
"""Told how far a run has come."""


@dataclass(frozen=True, slots=True)
class Repricing:
    """What a run found: how many calls it looked at, and what it would change or has changed, by model and price."""

    looked_at: int
    changes: tuple[Repriced, ...]

    @property
    def calls(self) -> int:
        """How many calls cost something else."""
        return sum(change.calls for change in self.changes)


@dataclass(frozen=True, slots=True)
class Store:
    """What repricing needs of an audit: to read, to change in one transaction, and to leave marks of it."""

    reading: Callable[[], AbstractContextManager[Connection]]
    changing: Callable[[], AbstractContextManager[Connection]]
    marks: Marks


def preview(store: Store, which: Filter, price: Pricer, *, advanced: Advanced | None = None) -> Repricing:
    """What a run would change; changes nothing."""
    run = _Run(store, which, price, advanced)
    account = Account()
    for found in run.pages():
        account.add(found)
    return Repricing(run.looked_at, tuple(account.rows()))


def reprice(
    store: Store,
    which: Filter,
    price: Pricer,
    *,
    pause: Callable[[float], None] = time.sleep,
    advanced: Advanced | None = None,
) -> Repricing:
    """Correct every call that costs something else, and say what was changed. `pause` waits so many seconds."""
    began = datetime.now(UTC)
    run = _Run(store, which, price, advanced)
    account = Account()
    for found in run.pages():
        for start in range(0, len(found), _BATCH):
            started = time.monotonic()
            with store.changing() as connection:
                made = _correct(connection, found[start : start + _BATCH], began, store.marks)
            account.add(made)
            pause(time.monotonic() - started)
    return Repricing(run.looked_at, tuple(account.rows()))


_version = values.cleaner(calls.c.price_version)

# ── Looking ─────────────────────────────────────────────────────────────────────────────

_OURS = ("id", "series_id", "request_id", "counted_by", "cost", "price_version")
_PRICED_BY = (
    *("started_at", "duration", "method", "path", "operation_name", "provider_name", "request_model"),
    *("response_model", "error_type", "details"),
)
_COLUMNS = (*(calls.c[name] for name in (*_OURS, *_PRICED_BY)), *TOKENS)
"""All that a price may depend on; the others would take as long again to read."""


class _Run:
    def __init__(self, store: Store, which: Filter, price: Pricer, advanced: Advanced | None) -> None:
        self.looked_at = 0
        self._store, self._price, self._advanced = store, price, advanced
        self._which: Sequence[ColumnElement[bool]] = which.conditions()

    def pages(self) -> Iterator[list[Correction]]:
        """What is to be corrected, some rows at a time, in order of arrival; of calls that came later, nothing."""
        last, total = self._extent()
        after = 0
        while rows := self._rows(after, last):
            after = rows[-1].id
            self.looked_at += len(rows)
            yield [correction for row in rows if (correction := self._look(row)) is not None]
            if self._advanced is not None:
                self._advanced(Progress(self.looked_at, total))

    def _extent(self) -> tuple[int, int]:
        total = func.count() if self._advanced is not None else func.max(0)  # counted only for who watches
        with self._store.reading() as connection:
            last, rows = connection.execute(select(func.max(calls.c.id), total).where(*self._which)).one()
        return last or 0, rows or 0

    def _rows(self, after: int, last: int) -> Sequence[Row[Any]]:
        query = select(*_COLUMNS).where(*self._which, calls.c.id > after, calls.c.id <= last)
        with self._store.reading() as connection:
            return connection.execute(query.order_by(calls.c.id).limit(_PAGE)).all()

    def _look(self, row: Row[Any]) -> Correction | None:
        if row.counted_by is not None and row.counted_by != row.request_id:
            return None  # another call has its tokens, and their cost
        priced = self._price(row)
        cost = values.money(priced[0]) if priced else None
        if cost == row.cost:
            return None
        return Correction(
            id=row.id,
            series_id=row.series_id,
            used=bool(row.input_tokens or row.output_tokens),
            provider_name=row.provider_name,
            model=row.response_model or row.request_model,
            old_version=row.price_version,
            new_version=_version(priced[1]) if priced and cost is not None else None,
            old_cost=row.cost,
            new_cost=cost,
        )


# ── Correcting ──────────────────────────────────────────────────────────────────────────

_UPDATE = (
    update(calls)
    .where(calls.c.id == bindparam("key"))
    .values(cost=bindparam("new_cost"), price_version=bindparam("new_version"))
)


_CHANGED = ("cost", "price_version")


def _correct(connection: Connection, wanted: Sequence[Correction], run: datetime, marks: Marks) -> list[Correction]:
    """Correct those that are still as they were when they were looked at."""
    replies.take_turns(connection, fetching=True)  # nobody else corrects or deletes them meanwhile
    found = select(calls.c.id, calls.c.cost, calls.c.price_version).where(calls.c.id.in_([each.id for each in wanted]))
    there = {tuple(row) for row in connection.execute(found)}
    made = [each for each in wanted if (each.id, each.old_cost, each.old_version) in there]
    if made:
        news = [{"key": each.id, "new_cost": each.new_cost, "new_version": each.new_version} for each in made]
        with corrections.corrected(connection, calls.c.id.in_([each.id for each in made])):
            connection.execute(_UPDATE, news)
        counters.correct(connection, made)
        repricings.note(connection, run, made)
        changes = [
            (each.id, (_digits(each.old_cost), each.old_version), (_digits(each.new_cost), each.new_version))
            for each in made
        ]
        marks.changed(connection, _CHANGED, changes)
    return made


def _digits(cost: Decimal | None) -> str | None:
    return None if cost is None else values.digits(cost)
