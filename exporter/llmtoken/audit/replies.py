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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, or_, select

from llmtoken.audit.partitions import first_id_at
from llmtoken.audit.schema import TOKENS, calls
from llmtoken.call import Call

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


class _Fetch(NamedTuple):
    response_id: str
    provider_name: str | None
    host: str | None
    started_at: datetime | str
    """SQLite has it as text."""
    request_id: str

    @property
    def began(self) -> datetime:
        at = self.started_at
        return datetime.fromisoformat(at) if isinstance(at, str) else at


_FETCHED = (
    f"SELECT {', '.join(_Fetch._fields)} FROM calls "  # noqa: S608 - our own names
    "WHERE counted_by = request_id AND "  # as the index has it
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


def has_usage(call: Call) -> bool:
    """Whether there is a usage that could be counted twice."""
    return call.response_id is not None and call.usage_source != TAKEN_OUT["usage_source"]


def take_turns(connection: Connection, *, fetching: bool) -> None:
    """Make sure that no other writer stores a fetch, or with `fetching` anything, until this transaction ends.

    SQLite has one writer anyway. On PostgreSQL two replicas would not see each other's rows:
    one with the call and one with a fetch of its reply would both count it.
    """
    if connection.dialect.name == "postgresql":
        function = "pg_advisory_xact_lock" if fetching else "pg_advisory_xact_lock_shared"
        connection.connection.cursor().execute(f"SELECT {function}({_TURN})")


def index(connection: Connection) -> None:
    """Have calls found by their reply's id: to be called before `counted_before`.

    SQLite has no such index before the first fetch. Ids are random, so that each call would change a page of its own:
    as much as all else that storing it takes, and most people never fetch a reply again. On PostgreSQL it is always
    there: replicas would wait for one another while it is made.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS calls_response_id ON calls (response_id)")


def fetched_before(connection: Connection, stored: Iterable[Call]) -> dict[str, str]:
    """Of calls that generate: which are counted by a fetch of their reply, by `request_id`, and by which fetch."""
    made = [call for call in stored if has_usage(call)]
    fetches: dict[str | None, list[_Fetch]] = {}
    for start in range(0, len(made), _IDS_PER_QUERY):
        for fetch in _fetches(connection, made[start : start + _IDS_PER_QUERY]):
            fetches.setdefault(fetch.response_id, []).append(fetch)
    if not fetches:
        return {}
    return {
        call.request_id: fetch.request_id
        for call in made
        for fetch in fetches.get(call.response_id, ())
        if fetch.began >= call.started_at and _same_server(fetch, call)
    }


def _fetches(connection: Connection, made: Sequence[Call]) -> Iterator[_Fetch]:
    """The fetches of these calls' replies. Asked past SQLAlchemy: every commit asks, and hardly ever there is one."""
    cursor = connection.connection.cursor()
    ids = [call.response_id for call in made]
    if connection.dialect.name == "postgresql":
        # No fetch came in before its reply was asked for. Else every commit would plan a look at every partition.
        earliest = first_id_at(min(datetime.now(UTC), *(call.started_at for call in made)), days_before=_CLOCKS_DIFFER)
        return map(_Fetch._make, cursor.execute(f"{_FETCHED}response_id = ANY(%s) AND id >= {earliest}", (ids,)))
    found = cursor.execute(f"{_FETCHED}response_id IN ({', '.join('?' * len(ids))})", ids)
    return map(_Fetch._make, found)


def counted_before(connection: Connection, call: Call) -> str | None:
    """Of a fetch: the `request_id` of the call that has the tokens of its reply already."""
    return connection.execute(_COUNTED, {name: getattr(call, name) for name in _KEYS}).scalar()


def relied_on(connection: Connection, request_ids: Iterable[str], *, since: datetime) -> set[str]:
    """Which of these calls have the tokens of a reply for another one's sake that came in `since`.

    They must stay: without them the next fetch of that reply would count it again.
    """
    query = select(calls.c.counted_by).where(calls.c.counted_by.in_(list(request_ids)), calls.c.started_at >= since)
    return set(connection.execute(query).scalars())


def _same_server(fetch: _Fetch, call: Call) -> bool:
    """As in `_COUNTED`."""
    named = fetch.provider_name is not None and fetch.provider_name == call.provider_name
    return named or bool(fetch.host == call.host)
