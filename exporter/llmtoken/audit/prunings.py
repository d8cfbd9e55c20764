"""The log of what was deleted: written in the transaction that deletes, so it proves neither more nor less.

One row a rule and day (UTC), which grows as batches are deleted; a row that is older is never
changed. Must not know why something is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from sqlalchemy import BigInteger, Column, Connection, String, Table, insert, select, update

from llmtoken.audit.schema import SHORT, Key, metadata
from llmtoken.audit.values import Instant

prunings = Table(
    "prunings",
    metadata,
    Column("id", Key, primary_key=True, doc="Order of the rows."),
    Column("rule", String(SHORT), nullable=False, doc="Why: the setting and its value, such as `retain_bodies = 30d`."),
    Column("deleted", String(SHORT), nullable=False, doc="What: `bodies`, or `calls` with their bodies."),
    Column("began_at", Instant(), nullable=False, doc="When the first of them was deleted, UTC."),
    Column("ended_at", Instant(), nullable=False, doc="When the last one was, UTC."),
    Column("calls", BigInteger(), nullable=False, doc="How many calls lost their bodies, or were deleted."),
    Column("first_id", BigInteger(), nullable=False, doc="Lowest `calls.id` among them."),
    Column("last_id", BigInteger(), nullable=False, doc="Highest."),
    Column("first_started_at", Instant(), nullable=False, doc="When the oldest of these calls came in, UTC."),
    Column("last_started_at", Instant(), nullable=False, doc="When the youngest did, UTC."),
)

What = Literal["bodies", "calls"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """A row of the log."""

    rule: str
    deleted: str
    began_at: datetime
    ended_at: datetime
    calls: int
    first_id: int
    last_id: int
    first_started_at: datetime
    last_started_at: datetime

    @classmethod
    def of(cls, rule: str, deleted: What, rows: Iterable[tuple[int, datetime]], now: datetime) -> Self:
        """What the deletion of these rows, each an id and a time, is in the log. There is at least one."""
        ids, times = zip(*rows, strict=True)
        return cls(rule, deleted, now, now, len(ids), min(ids), max(ids), min(times), max(times))


_NAMES = tuple(Pruned.__dataclass_fields__)


def note(connection: Connection, pruned: Pruned) -> None:
    """Add to the log within the transaction that deletes."""
    today = pruned.began_at.replace(hour=0, minute=0, second=0, microsecond=0)
    same = select(prunings).where(prunings.c.rule == pruned.rule, prunings.c.deleted == pruned.deleted)
    same = same.where(prunings.c.began_at >= today).order_by(prunings.c.id.desc()).limit(1)
    row = connection.execute(same).one_or_none()
    if row is None:
        values = {name: getattr(pruned, name) for name in _NAMES}
        connection.execute(insert(prunings), values)
        return
    more = {
        "ended_at": max(row.ended_at, pruned.ended_at),  # the clock may have been set back
        "calls": row.calls + pruned.calls,
        "first_id": min(row.first_id, pruned.first_id),
        "last_id": max(row.last_id, pruned.last_id),
        "first_started_at": min(row.first_started_at, pruned.first_started_at),
        "last_started_at": max(row.last_started_at, pruned.last_started_at),
    }
    connection.execute(update(prunings).where(prunings.c.id == row.id).values(more))


def log(connection: Connection, limit: int) -> list[Pruned]:
    """The newest rows, newest first."""
    query = select(*(prunings.c[name] for name in _NAMES)).order_by(prunings.c.id.desc()).limit(limit)
    return [Pruned(*row) for row in connection.execute(query)]
