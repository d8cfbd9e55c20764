"""The log of corrected costs: written in the transaction that corrects them, so it proves neither more nor less.

One row a run, model, old and new price. Must not know why a price changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, String, Table, insert, select, update

from llmtoken.audit.schema import SHORT, Key, metadata
from llmtoken.audit.values import Instant, Money
from llmtoken.totals import difference, plus_cost

repricings = Table(
    "repricings",
    metadata,
    Column("id", Key, primary_key=True, doc="Order of the rows."),
    Column("began_at", Instant(), nullable=False, doc="When the run began, UTC: the same for all rows of a run."),
    Column("ended_at", Instant(), nullable=False, doc="When the last of these calls was corrected, UTC."),
    Column("provider_name", String(SHORT), doc="Whose API it is."),
    Column("model", String(SHORT), doc="Model that answered, or else the one that was asked for."),
    Column("old_version", String(SHORT), doc="`price_version` before; null when there was no price."),
    Column("new_version", String(SHORT), doc="`price_version` since; null when there is none."),
    Column("calls", BigInteger(), nullable=False, doc="How many calls were corrected."),
    Column("old_cost", Money(), doc="What they had cost, US dollars, exact; null when there was no price."),
    Column("new_cost", Money(), doc="What they cost since, likewise."),
)


@dataclass(frozen=True, slots=True)
class Correction:
    """A call whose cost is another by the prices of today."""

    id: int
    series_id: int | None
    used: bool
    """Whether it used tokens, so that it is counted as unpriced where it has no price."""
    provider_name: str | None
    model: str | None
    old_version: str | None
    new_version: str | None
    old_cost: Decimal | None
    new_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Repriced:
    """A row of the log, or of a preview."""

    provider_name: str | None
    model: str | None
    old_version: str | None
    new_version: str | None
    calls: int = 0
    old_cost: Decimal | None = None
    new_cost: Decimal | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None


_Key = tuple[str | None, str | None, str | None, str | None]
_KEY = ("provider_name", "model", "old_version", "new_version")
_SUMS = ("calls", "old_cost", "new_cost")
_Sums = tuple[int, Decimal | None, Decimal | None]


class Account:
    """What corrections add up to, by model and price."""

    def __init__(self) -> None:
        self._sums: dict[_Key, _Sums] = {}

    def add(self, corrections: Iterable[Correction]) -> None:
        """Take some more."""
        for each in corrections:
            key = (each.provider_name, each.model, each.old_version, each.new_version)
            self._sums[key] = _plus(self._sums.get(key, (0, None, None)), (1, each.old_cost, each.new_cost))

    def rows(self) -> list[Repriced]:
        """A row for each model and price, the largest difference first."""
        rows = [Repriced(*key, *sums) for key, sums in self._sums.items()]
        return sorted(rows, key=lambda row: abs(difference(row.old_cost, row.new_cost)), reverse=True)


def note(connection: Connection, run: datetime, corrections: Iterable[Correction]) -> None:
    """Add to the log of the run within the transaction that corrects."""
    account = Account()
    account.add(corrections)
    now = datetime.now(UTC)
    for row in account.rows():
        key = {name: getattr(row, name) for name in _KEY}
        same = [repricings.c[name].is_not_distinct_from(value) for name, value in key.items()]
        mine = select(repricings).where(repricings.c.began_at == run, *same)
        sums: _Sums = (row.calls, row.old_cost, row.new_cost)
        before = connection.execute(mine).one_or_none()
        values: dict[str, Any] = {"ended_at": now}
        if before is None:
            connection.execute(
                insert(repricings), key | values | {"began_at": run} | dict(zip(_SUMS, sums, strict=True))
            )
            continue
        sums = _plus((before.calls, before.old_cost, before.new_cost), sums)
        values |= dict(zip(_SUMS, sums, strict=True))
        connection.execute(update(repricings).where(repricings.c.id == before.id).values(values))


def log(connection: Connection, limit: int) -> list[Repriced]:
    """The newest rows, newest first."""
    names = Repriced.__dataclass_fields__
    query = select(*(repricings.c[name] for name in names)).order_by(repricings.c.id.desc()).limit(limit)
    return [Repriced(*row) for row in connection.execute(query)]


def _plus(one: _Sums, other: _Sums) -> _Sums:
    return one[0] + other[0], plus_cost(one[1], other[1]), plus_cost(one[2], other[2])
