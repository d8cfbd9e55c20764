"""How new calls and bodies get into each database, each request_id once.

SQLite has a unique index and says which rows were new. PostgreSQL's partitions can't have one
that spans them, so there the ids are claimed first, in a table of their own, and the new rows are
copied in. A claim waits for another replica's claim of the same id until that is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Connection, Dialect, Table

from llmtoken.audit import partitions, values
from llmtoken.audit.drafts import COLUMNS, Draft, Shape
from llmtoken.audit.schema import bodies, calls

_SIZES = (16, 8, 4, 2, 1)
"""Rows of one statement: more are no faster, and few sizes make few statements (docs/adr/collector-throughput.md)."""

_NAMES = tuple(column.name for column in COLUMNS)


class Insertion(Protocol):
    """Inserts within a transaction; to be made anew after one that failed."""

    def calls(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        """Insert the calls whose request_id isn't there yet, and give those their keys."""

    def bodies(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        """Insert the bodies of calls that were just inserted."""


def insertion(connection: Connection, spans: Sequence[str]) -> Insertion:
    """The database's way. `spans` are of new partitions, where there are any."""
    return _Sqlite() if connection.dialect.name == "sqlite" else _Postgresql(spans)


class _Sqlite:
    """INSERT of many rows at once, past SQLAlchemy, and without the columns that are null in all of them.

    The driver takes longer over a null than over a number.
    """

    def __init__(self) -> None:
        self._bodies = _statements("bodies", bodies.columns.keys())

    def calls(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        cursor = connection.connection.cursor()
        last = _last_key(cursor)
        for (shape, says_who), some in groupby(drafts, key=_like):
            layout = _layout(shape, connection.dialect, says_who=says_who)
            for part in _parts(list(some)):
                flat: list[Any] = []
                for draft in part:
                    flat += layout.values(draft)
                cursor.execute(layout.statements[len(part)], flat)
                if cursor.rowcount == len(part):
                    # There is one writer, and no key is used twice: they follow each other.
                    last = cursor.lastrowid
                    for key, draft in enumerate(part, last - len(part) + 1):
                        draft.key = key
                else:
                    for draft in part:
                        draft.key = _new_key(cursor, draft.call.request_id, last)
                    last = _last_key(cursor)

    def bodies(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        cursor = connection.connection.cursor()
        for part in _parts(drafts):
            flat: list[Any] = []
            for draft in part:
                flat += draft.bodies()
            cursor.execute(self._bodies[len(part)], flat)


def _last_key(cursor: Any) -> int:
    """The largest key that a call was ever given."""
    found = cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = 'calls'").fetchone()
    return 0 if found is None else int(found[0])


def _new_key(cursor: Any, request_id: str, last: int) -> int | None:
    """The key of a call if it was inserted after this `last` one."""
    found = cursor.execute("SELECT id FROM calls WHERE request_id = ? AND id > ?", (request_id, last)).fetchone()
    return None if found is None else int(found[0])


def _like(draft: Draft) -> tuple[Shape, bool]:
    """What drafts have in common whose rows have the same columns: `counted_by` is null for most."""
    return draft.shape, draft.counted_by is not None


class _Layout:
    """The statements for drafts that have the same columns, and what they are given."""

    def __init__(self, shape: Shape, dialect: Dialect, *, says_who: bool) -> None:
        counted_by, series_id = range(len(_NAMES) - 2, len(_NAMES))
        places = [*shape.present, *([counted_by] if says_who else ()), series_id]
        self._pick = itemgetter(*places)
        self._converted = [(place, convert) for place, convert in values.bound(COLUMNS, dialect) if place in places]
        self.statements = _statements("calls", self._pick(_NAMES), "ON CONFLICT (request_id) DO NOTHING")

    def values(self, draft: Draft) -> tuple[Any, ...]:
        row = draft.row()
        for place, convert in self._converted:
            row[place] = convert(row[place])
        found: tuple[Any, ...] = self._pick(row)
        return found


_layout = lru_cache(maxsize=1024)(_Layout)


def _statements(table: str, names: Sequence[str], otherwise: str = "") -> dict[int, str]:
    """What inserts rows, by how many there are."""
    row = f"({', '.join('?' * len(names))})"
    into = f"INSERT INTO {table} ({', '.join(names)}) VALUES"
    return {size: f"{into} {', '.join([row] * size)} {otherwise}" for size in _SIZES}


def _parts(drafts: Sequence[Draft]) -> Iterator[Sequence[Draft]]:
    """As few parts as make it, each of one of the `_SIZES`."""
    start = 0
    for size in _SIZES:
        while len(drafts) - start >= size:
            yield drafts[start : start + size]
            start += size


class _Postgresql:
    # In one order, or two replicas that are sent the same reports would wait for each other.
    _CLAIM = """
        INSERT INTO request_ids (request_id, call_id)
        SELECT request_id, llmtoken_call_id() FROM unnest(%s::text[]) AS request_id ORDER BY request_id
        ON CONFLICT DO NOTHING RETURNING request_id, call_id
    """

    def __init__(self, spans: Sequence[str]) -> None:
        self._spans = spans
        self._covered = 0
        self._calls = _Copy(calls, ("id", *_NAMES))
        self._bodies = _Copy(bodies, bodies.columns.keys())

    def calls(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        ids = [draft.call.request_id for draft in drafts]
        new: dict[str, int] = dict(connection.connection.cursor().execute(self._CLAIM, (ids,)))
        if not new:
            return
        latest = max(new.values())
        if latest + partitions.first_id(partitions.AHEAD - 1) >= self._covered:
            self._covered = partitions.ensure(connection, latest, self._spans)
        for draft in drafts:
            draft.key = new.get(draft.call.request_id)
        self._calls(connection, ((draft.key, *draft.row()) for draft in drafts if draft.key is not None))

    def bodies(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        self._bodies(connection, (draft.bodies() for draft in drafts))


class _Copy:
    """COPY into one table, past SQLAlchemy."""

    def __init__(self, table: Table, names: Iterable[str]) -> None:
        self._statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN"

    def __call__(self, connection: Connection, rows: Iterable[Sequence[Any]]) -> None:
        with connection.connection.cursor().copy(self._statement) as copy:
            for row in rows:
                copy.write_row(row)
