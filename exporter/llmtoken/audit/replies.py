"""Each reply is counted once, by its id, however often it is fetched.

A reply may be asked for more than once: a background response is polled until it is done,
the results of a batch are downloaded again. Its tokens belong to one call:

- A *fetch* (a request that generates nothing, see `Record.fetched`) has them, unless a call
  from before has.
- A call that generates has them, unless a fetch of that very reply has: its report came
  late. A fetch that began before the call can't have fetched its reply.

So two calls that both generate count both, whatever their ids are: some servers give every
reply the same. For their sake an id means the same reply only within a provider or a host.

Must not know how rows are written; `llmtoken.audit.writer` asks within its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, literal_column, or_, select, text

from llmtoken.audit.partitions import first_id_at
from llmtoken.audit.schema import TOKENS, calls

Row = Mapping[str, Any]
"""The columns of a call, ready to be stored."""

TAKEN_OUT: Mapping[str, Any] = {
    **dict.fromkeys((column.name for column in TOKENS), None),
    "usage_source": "unknown",
    "tokens_per_second": None,
    "cost": None,
    "price_version": None,
}
"""What is stored of a usage that another call has."""

_TURN = 0x6C6C6E
"""Any number that replicas agree on, and that isn't the migrations'."""

_IDS_PER_QUERY = 500

_CLOCKS_DIFFER = 2
"""Days by which a plugin's clock may be ahead of the database's."""

_KEYS = ("response_id", "provider_name", "host")

_FETCHED = select(*(calls.c[name] for name in _KEYS), calls.c.started_at, calls.c.request_id).where(
    calls.c.counted_by == calls.c.request_id,  # as the index has it
    calls.c.response_id.in_(bindparam("response_ids", expanding=True)),
)
_COUNTED = (
    select(calls.c.request_id)
    .where(
        calls.c.response_id == bindparam("response_id"),
        calls.c.usage_source != TAKEN_OUT["usage_source"],
        or_(
            calls.c.provider_name == bindparam("provider_name"),
            calls.c.host.is_not_distinct_from(bindparam("host")),
        ),
    )
    .limit(1)
)


def has_usage(row: Row) -> bool:
    """Whether there is a usage that could be counted twice."""
    return row["response_id"] is not None and row["usage_source"] != TAKEN_OUT["usage_source"]


def take_turns(connection: Connection, *, fetching: bool) -> None:
    """Make sure that no other writer stores a fetch, or with `fetching` anything, until this transaction ends.

    SQLite has one writer anyway. On PostgreSQL two replicas would not see each other's rows:
    one with the call and one with a fetch of its reply would both count it.
    """
    if connection.dialect.name == "postgresql":
        function = "pg_advisory_xact_lock" if fetching else "pg_advisory_xact_lock_shared"
        connection.execute(text(f"SELECT {function}({_TURN})"))


def fetched_before(connection: Connection, rows: Iterable[Row]) -> dict[str, str]:
    """Of calls that generate: which are counted by a fetch of their reply, by `request_id`, and by which fetch."""
    made = [row for row in rows if has_usage(row)]
    if not made:
        return {}
    ids = list({row["response_id"] for row in made})
    query = _FETCHED
    if connection.dialect.name == "postgresql":
        # No fetch came in before its reply was asked for. Else every commit would plan a look at every partition.
        earliest = min(datetime.now(UTC), *(row["started_at"] for row in made))
        query = query.where(calls.c.id >= literal_column(str(first_id_at(earliest, days_before=_CLOCKS_DIFFER))))
    fetches: dict[str, list[Any]] = {}
    for start in range(0, len(ids), _IDS_PER_QUERY):
        some = {"response_ids": ids[start : start + _IDS_PER_QUERY]}
        for found in connection.execute(query, some).mappings():
            fetches.setdefault(found["response_id"], []).append(found)
    if not fetches:
        return {}
    return {
        row["request_id"]: found["request_id"]
        for row in made
        for found in fetches.get(row["response_id"], ())
        if found["started_at"] >= row["started_at"] and _same_server(found, row)
    }


def counted_before(connection: Connection, row: Row) -> str | None:
    """Of a fetch: the `request_id` of the call that has the tokens of its reply already."""
    return connection.execute(_COUNTED, {name: row[name] for name in _KEYS}).scalar()


def relied_on(connection: Connection, request_ids: Iterable[str], *, since: datetime) -> set[str]:
    """Which of these calls have the tokens of a reply for another one's sake that came in `since`.

    They must stay: without them the next fetch of that reply would count it again.
    """
    query = select(calls.c.counted_by).where(calls.c.counted_by.in_(list(request_ids)), calls.c.started_at >= since)
    return set(connection.execute(query).scalars())


def _same_server(one: Row, other: Row) -> bool:
    """As in `_COUNTED`."""
    named = one["provider_name"] is not None and one["provider_name"] == other["provider_name"]
    return named or bool(one["host"] == other["host"])
