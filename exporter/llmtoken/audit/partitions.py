"""PostgreSQL's partitions of `calls` and `bodies`: making them ahead of time, and dropping old ones whole.

An id has the day of its arrival in its upper bits, so a partition is a range of ids and a range
of days alike, both tables have the same key, and a call with an odd date is no odd call. The
names are those of the first day: `calls_20261126`. What may be dropped is `llmtoken.audit.retention`'s
business.

Why so: docs/adr/partitions.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, text

from llmtoken.audit.schema import SHORT

BITS = 36
"""Bits of an id below the day's number: 68 billion calls a day, and ids that a JSON number can hold."""

AHEAD = 2
"""Days that have a partition before they begin, but for today."""

request_ids = Table(
    "request_ids",
    MetaData(),
    Column("request_id", String(SHORT), primary_key=True, doc="Identity of a call."),
    Column("call_id", BigInteger(), nullable=False, doc="Its `calls.id`."),
)
"""PostgreSQL only: a unique index of a partitioned table can't do without the partition's key."""

TABLES = ("calls", "bodies")

_KEY = 0x6C6C70
_EPOCH = date(1970, 1, 1).toordinal()
_LAST = date.max.toordinal() - _EPOCH


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition and the ids that are in it: from `low` to below `high`."""

    name: str
    low: int
    high: int


def span(age: timedelta | None) -> str:
    """How much time a partition covers when it is deleted at this age: at most a tenth of it, a day at least."""
    for name, days in (("month", 31), ("week", 7)):
        if age is None or age >= 10 * timedelta(days=days):
            return name
    return "day"


def longest(age: timedelta) -> timedelta:
    """The most time that such a partition covers."""
    return timedelta(days={"month": 31, "week": 7, "day": 1}[span(age)])


def first_id(day: int) -> int:
    """The lowest id of a day, given as days since 1970."""
    return max(day, 0) << BITS


def first_id_at(moment: datetime, *, days_before: int = 0) -> int:
    """The lowest id of the day that a moment is in, or of so many days before that."""
    return first_id(moment.astimezone(UTC).date().toordinal() - _EPOCH - days_before)


def listed(connection: Connection, table: str) -> list[Partition]:
    """The partitions of a table, oldest first."""
    query = text("""
        SELECT child.relname, pg_get_expr(child.relpartbound, child.oid)
        FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
        WHERE inhparent = CAST(:parent AS regclass)
    """)
    found = [_partition(*row) for row in connection.execute(query, {"parent": table})]
    return sorted(found, key=lambda partition: partition.low)


def ensure(connection: Connection, key: int, spans: Sequence[str]) -> int:
    """Have partitions for the day of this id and the days after it; gives the first id that has none.

    `spans` are how much a new partition of each of `TABLES` covers. Readers and writers go on meanwhile.
    """
    day = key >> BITS
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_KEY})"))
    covered = []
    for table, each in zip(TABLES, spans, strict=True):
        there = listed(connection, table)
        for wanted in range(day, day + AHEAD + 1):
            if not any(partition.low <= first_id(wanted) < partition.high for partition in there):
                there.append(_create(connection, table, wanted, each, there))
        covered.append(min(p.high for p in there if p.high > first_id(day + AHEAD)))
    return min(covered)


def _create(connection: Connection, table: str, day: int, each: str, there: Sequence[Partition]) -> Partition:
    """Made apart and attached, because that locks nobody out; it takes what its neighbours leave it of the span."""
    start, end = _days(day, each)
    low = max([first_id(start), *(p.high for p in there if p.high <= first_id(day))])
    high = min([first_id(end), *(p.low for p in there if p.low > first_id(day))])
    name = f"{table}_{date.fromordinal((low >> BITS) + _EPOCH):%Y%m%d}"
    for statement in (
        f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)",
        f"CREATE UNIQUE INDEX {name}_request_id_key ON {name} (request_id)" if table == "calls" else "",
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
    ):
        if statement:
            connection.execute(text(statement))
    return Partition(name, low, high)


def _days(day: int, each: str) -> tuple[int, int]:
    """The first day of the span around a day, and the first one after it."""
    if each == "day":
        return day, day + 1
    if each == "week":
        monday = day - (day + 3) % 7  # 1970 began on a Thursday
        return monday, monday + 7
    first = date.fromordinal(min(day, _LAST) + _EPOCH).replace(day=1)
    return first.toordinal() - _EPOCH, (first + timedelta(days=31)).replace(day=1).toordinal() - _EPOCH


def _partition(name: str, bounds: str) -> Partition:
    low, high = re.findall(r"(MINVALUE|MAXVALUE|\d+)(?='?\))", bounds)
    return Partition(name, 0 if low == "MINVALUE" else int(low), 2**63 - 1 if high == "MAXVALUE" else int(high))
