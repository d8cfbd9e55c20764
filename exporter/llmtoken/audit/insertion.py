"""How new calls and bodies get into each database, each request_id once.

SQLite has a unique index and says which rows were new. PostgreSQL's partitions can't have one
that spans them, so there the ids are claimed first, in a table of their own, and the new rows are
copied in. A claim waits for another replica's claim of the same id until that is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from llmtoken.audit import partitions, values
from llmtoken.audit.schema import bodies, calls

_ROWS_PER_STATEMENT = 25
"""Rows of one INSERT … RETURNING: fewer and more were slower (docs/adr, bench/audit.py)."""

Row = dict[str, Any]
_Processes = Sequence[tuple[int, Callable[[Any], Any]]]


class Insertion(Protocol):
    """Inserts within a transaction; to be made anew after one that failed."""

    def calls(self, connection: Connection, rows: Sequence[Row]) -> Mapping[str, int]:
        """Insert the calls whose request_id isn't there yet; gives the ids of those."""

    def bodies(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert bodies of calls that were just inserted."""


def insertion(connection: Connection, spans: Sequence[str]) -> Insertion:
    """The database's way. `spans` are of new partitions, where there are any."""
    return _Sqlite(connection) if connection.dialect.name == "sqlite" else _Postgresql(connection, spans)


class _Sqlite:
    """INSERT of many rows at once; the rows go to the driver as they are (docs/adr/collector-throughput.md)."""

    def __init__(self, connection: Connection) -> None:
        names, self._processes = _columns(calls, connection, but="id")
        self._call = itemgetter(*names)
        self._into = f"INSERT INTO calls ({', '.join(names)}) VALUES "  # noqa: S608 - our own names
        self._row = f"({', '.join('?' * len(names))})"
        names, _ = _columns(bodies, connection)
        self._body = itemgetter(*names)
        self._bodies = f"INSERT INTO bodies ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608

    def calls(self, connection: Connection, rows: Sequence[Row]) -> Mapping[str, int]:
        new: dict[str, int] = {}
        for first in range(0, len(rows), _ROWS_PER_STATEMENT):
            some = rows[first : first + _ROWS_PER_STATEMENT]
            flat: list[Any] = []
            for row in some:
                flat += _processed(self._call(row), self._processes)
            statement = (
                f"{self._into}{', '.join([self._row] * len(some))} "
                "ON CONFLICT (request_id) DO NOTHING RETURNING request_id, id"
            )
            new.update(connection.exec_driver_sql(statement, tuple(flat)).all())
        return new

    def bodies(self, connection: Connection, rows: Sequence[Row]) -> None:
        connection.exec_driver_sql(self._bodies, [self._body(row) for row in rows])


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
        names, self._processes = _columns(table, connection)
        self._values = itemgetter(*names)
        self._statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN"

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> None:
        cursor = connection.connection.cursor()
        try:
            with cursor.copy(self._statement) as copy:
                for row in rows:
                    copy.write_row(_processed(self._values(row), self._processes))
        except connection.dialect.loaded_dbapi.Error as error:  # as SQLAlchemy says it of its own statements
            raise DBAPIError(self._statement, None, error, hide_parameters=True) from error


def _columns(table: Table, connection: Connection, *, but: str = "") -> tuple[list[str], _Processes]:
    """The columns' names but for one, and what the database takes for a value, by the place of the column."""
    columns = [column for column in table.columns if column.name != but]
    return [column.name for column in columns], values.bound(columns, connection.dialect)


def _processed(found: Iterable[Any], processes: _Processes) -> list[Any]:
    row = list(found)
    for place, process in processes:
        if row[place] is not None:
            row[place] = process(row[place])
    return row
