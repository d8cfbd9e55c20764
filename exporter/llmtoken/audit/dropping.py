"""Deleting what is old on PostgreSQL partition by partition: one transaction each, which keeps the books.

What takes long, looking at each row of a partition, is done while only those are locked out who
would change it: nobody adds to an old partition. The drop itself needs all of the table for a moment, and
is put off when it doesn't get that in half a second. Must not know when or why it is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, text

from llmtoken.audit import corrections, counters, partitions, prunings, replies
from llmtoken.audit.partitions import Partition, request_ids
from llmtoken.audit.prunings import Pruned, What
from llmtoken.audit.schema import bodies, calls
from llmtoken.audit.seals.chain import are_there
from llmtoken.audit.seals.marks import Marks
from llmtoken.audit.seals.runs import Run

_PATIENCE = "500ms"

_AT_ONCE = 2000
"""Ids that are forgotten in one transaction."""


def droppable(connection: Connection, deleted: What, before: datetime) -> list[Partition]:
    """The partitions that hold nothing younger, and nothing that must stay, oldest first."""
    ended = partitions.first_id_at(before)
    old = [partition for partition in partitions.listed(connection, deleted) if partition.high <= ended]
    return [partition for partition in old if not _must_stay(connection, deleted, partition, before)]


def drop(
    connection: Connection, rule: str, deleted: What, partition: Partition, before: datetime, *, marks: Marks
) -> int | None:
    """Drop one, within a transaction of its own; gives how many rows it had, `None` when it must stay after all."""
    connection.execute(text(f"LOCK TABLE {partition.name} IN EXCLUSIVE MODE"))
    found = connection.execute(_account(deleted, partition)).one()
    leaving, days = (
        (counters.leaving(connection, _within(partition)), corrections.days_of(connection, _within(partition)))
        if deleted == "calls"
        else ({}, {})
    )
    ids = _ids(connection, deleted, partition) if are_there(connection) else []
    # From here on others wait for us.
    connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
    replies.take_turns(connection, fetching=True)
    if _must_stay(connection, deleted, partition, before):
        return None
    counters.add_pruned(connection, leaving)
    corrections.note_pruned(connection, days)
    if found.rows:
        now = datetime.now(UTC)
        prunings.note(connection, Pruned(rule, deleted, now, now, *found))
        if ids:
            marks.deleted(connection, deleted, rule, ids)
    for name in _names(connection, deleted, partition):
        connection.execute(text(f"DROP TABLE {name}"))
    if deleted == "calls":
        connection.execute(delete(bodies).where(bodies.c.call_id.between(partition.low, partition.high - 1)))
    return int(found.rows)


def forget_ids(connection: Connection) -> bool:
    """Forget some ids of calls whose partitions are gone, in a transaction of its own. Whether there are more.

    Until then a report that comes again after its call was dropped is still known.
    """
    lowest = min((partition.low for partition in partitions.listed(connection, "calls")), default=0)
    some = select(request_ids.c.request_id).where(request_ids.c.call_id < lowest).limit(_AT_ONCE)
    forgotten = connection.execute(delete(request_ids).where(request_ids.c.request_id.in_(some)))
    return forgotten.rowcount == _AT_ONCE


def _within(partition: Partition) -> ColumnElement[bool]:
    return and_(calls.c.id >= partition.low, calls.c.id < partition.high)


def _account(deleted: What, partition: Partition) -> Any:
    """What the log says of a partition: how many, the ids, the times."""
    query = select(
        func.count().label("rows"),
        func.min(calls.c.id),
        func.max(calls.c.id),
        func.min(calls.c.started_at),
        func.max(calls.c.started_at),
    ).where(_within(partition))
    return query.select_from(calls.join(bodies)) if deleted == "bodies" else query


def _ids(connection: Connection, deleted: What, partition: Partition) -> Sequence[Run]:
    """The ids in a partition, as runs."""
    key = "id" if deleted == "calls" else "call_id"
    query = f"""
        SELECT min({key}), max({key}) FROM (
            SELECT {key}, {key} - row_number() OVER (ORDER BY {key}) AS run FROM {deleted}
            WHERE {key} >= {partition.low} AND {key} < {partition.high}
        ) AS ids GROUP BY run ORDER BY 1
    """  # noqa: S608 - our own names
    return [(first, last) for first, last in connection.execute(text(query))]


def _must_stay(connection: Connection, deleted: What, partition: Partition, before: datetime) -> bool:
    """Whether a call in it isn't older, or has the tokens of a reply for one that isn't."""
    young = select(calls.c.id).where(_within(partition), calls.c.started_at >= before).limit(1)
    if connection.execute(young).first() is not None:
        return True
    return deleted == "calls" and connection.execute(_relied_on(partition, before)).first() is not None


def _relied_on(partition: Partition, before: datetime) -> Any:
    fetch, first = calls.alias("fetch"), calls.alias("first")
    return (
        select(fetch.c.id)
        .where(
            fetch.c.counted_by.is_not(None),  # as the index has it
            fetch.c.started_at >= before,
            first.c.request_id == fetch.c.counted_by,
            first.c.id >= partition.low,
            first.c.id < partition.high,
        )
        .limit(1)
    )


def _names(connection: Connection, deleted: What, partition: Partition) -> Sequence[str]:
    """With calls go the partitions of their bodies."""
    if deleted == "bodies":
        return [partition.name]
    theirs = partitions.listed(connection, "bodies")
    return [
        *(each.name for each in theirs if partition.low <= each.low and each.high <= partition.high),
        partition.name,
    ]
