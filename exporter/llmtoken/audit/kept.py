"""The connection that writes, kept from one transaction to the next.

To take it out of SQLAlchemy's pool and to put it back costs more than all that a small transaction says to SQLite
(docs/adr/collector-throughput.md). Must not know what is written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.exc import DBAPIError


@contextmanager
def said_by_sqlalchemy(connection: Connection) -> Iterator[None]:
    """What the driver complains of, when it is asked by itself, as SQLAlchemy says it of its own statements."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise DBAPIError(None, None, error, hide_parameters=True) from error


class Kept:
    """An engine of one connection, for one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._turn = threading.RLock()
        self._connection: Connection | None = None

    @property
    def dialect(self) -> Dialect:
        """What kind of database it is."""
        return self.engine.dialect

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction, committed at the end. After one that failed the next has to do with a connection anew."""
        with self._turn:
            connection, self._connection = self._connection or self.engine.connect(), None
            try:
                with said_by_sqlalchemy(connection), connection.begin():
                    yield connection
            except BaseException:
                connection.close()
                raise
            self._connection = connection

    @contextmanager
    def raw(self) -> Iterator[Any]:
        """The driver's connection, for what SQLAlchemy would begin a transaction for."""
        with self._turn:
            self._let_go()
            connection = self.engine.raw_connection()
            try:
                yield connection
            finally:
                connection.close()

    def dispose(self) -> None:
        """Close the connection; the next use opens another."""
        with self._turn:
            self._let_go()
            self.engine.dispose()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
