"""How new calls and bodies get into each database, each request_id once.

SQLite has a unique index and says which rows were new. PostgreSQL's partitions can't have one
that spans them, so there the ids are claimed first, in a table of their own, and the new rows are
copied in. A claim waits for another replica's claim of the same id until that is committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from llmtoken.audit import partitions
from llmtoken.audit.schema import bodies, calls

Row = dict[str, Any]


class Insertion(Protocol):
    """Inserts within a transaction; to be made anew after one that failed."""

    def calls(self, connection: Connection, rows: Sequence[Row]) -> Mapping[str, int]:
        """Insert the calls whose request_id isn't there yet; gives the ids of those."""

    def bodies(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert bodies of calls that were just inserted."""


def insertion(connection: Connection, spans: Sequence[str]) -> Insertion:
    """The database's way. `spans` are of new partitions, where there are any."""
    return _Sqlite() if connection.dialect.name == "sqlite" else _Postgresql(connection, spans)


class _Sqlite:
    _CALLS = (
        sqlite.insert(calls)
        .on_conflict_do_nothing(index_elements=[calls.c.request_id])
        .returning(calls.c.id, calls.c.request_id)
    )
    _BODIES = insert(bodies)

    def calls(self, connection: Connection, rows: Sequence[Row]) -> Mapping[str, int]:
        return {request_id: key for key, request_id in connection.execute(self._CALLS, list(rows))}

    def bodies(self, connection: Connection, rows: Sequence[Row]) -> None:
        connection.execute(self._BODIES, list(rows))


class _Postgresql:
    # In one order, or two replicas that are sent the same reports would wait for each other.
    _CLAIM = """
        INSERT INTO request_ids (request_id, call_id)
        SELECT request_id, llmtoken_call_id() FROM unnest(%s::text[]) AS request_id ORDER BY request_id
        ON CONFLICT DO NOTHING RETURNING request_id, call_id
    """

    def __init__(self, connection: Connection, spans: Sequence[str]) -> None:
        self._spans = spans
        self._covered = 0
        self._calls = _Copy(calls, connection)
        self._bodies = _Copy(bodies, connection)

    def calls(self, connection: Connection, rows: Sequence[Row]) -> Mapping[str, int]:
        ids = [row["request_id"] for row in rows]
        new: dict[str, int] = dict(connection.exec_driver_sql(self._CLAIM, (ids,)).all())
        if new:
            latest = max(new.values())
            if latest + partitions.first_id(partitions.AHEAD - 1) >= self._covered:
                self._covered = partitions.ensure(connection, latest, self._spans)
            self._calls(connection, [row | {"id": new[row["request_id"]]} for row in rows if row["request_id"] in new])
        return new

    def bodies(self, connection: Connection, rows: Sequence[Row]) -> None:
        self._bodies(connection, rows)


class _Copy:
    """COPY into one table, past SQLAlchemy but for what its types make of values."""

    def __init__(self, table: Table, connection: Connection) -> None:
        columns = [
            (column.name, column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect))
            for column in table.columns
        ]
        self._columns = columns
        self._statement = f"COPY {table.name} ({', '.join(name for name, _ in columns)}) FROM STDIN"

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> None:
        cursor = connection.connection.cursor()
        try:
            with cursor.copy(self._statement) as copy:
                for row in rows:
                    copy.write_row(
                        [
                            value if process is None or value is None else process(value)
                            for value, process in ((row[name], process) for name, process in self._columns)
                        ]
                    )
        except connection.dialect.loaded_dbapi.Error as error:  # as SQLAlchemy says it of its own statements
            raise DBAPIError(self._statement, None, error, hide_parameters=True) from error
