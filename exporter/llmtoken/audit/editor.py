"""Changing what is stored already: deleting what retention says, within a collector or beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmtoken.audit import retention, space
from llmtoken.audit.failures import refused
from llmtoken.audit.reader import Reader
from llmtoken.audit.retention import Progress, Rules, Summary
from llmtoken.errors import DatabaseError


class Editor(Reader):
    """Reads the audit and deletes from it, from any thread, also while a collector writes to it."""

    def prune(
        self, rules: Rules, *, pause: Callable[[float], bool], advanced: Callable[[Progress], None] | None = None
    ) -> Summary:
        """Delete what `rules` say; see `llmtoken.audit.retention`.

        Raises `StorageUnavailable`; what was done by then stays done.
        """
        partitioned = self._connections.writer.dialect.name == "postgresql"
        store = retention.Store(
            self._reading, self._changing, self._give_back, self._changing_apart if partitioned else None
        )
        return retention.prune(store, rules, pause=pause, advanced=advanced)

    @contextmanager
    def _changing_apart(self) -> Iterator[Connection]:
        """Likewise, over a connection that nobody waits for."""
        self._require_open()
        try:
            with self._connections.reader.connect() as connection:
                connection.execution_options(isolation_level="READ COMMITTED")
                with connection.begin():
                    yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise refused("The audit can't be written now", error) from error

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """One transaction, committed at the end."""
        self._require_open()
        try:
            with self._connections.writer.begin() as connection:
                yield connection
        except (DBAPIError, PoolTimeout, DatabaseError) as error:
            raise refused("The audit can't be written now", error) from error

    def _give_back(self) -> bool:
        self._require_open()
        try:
            return space.give_back(self._connections.writer)
        except (sqlite3.Error, DBAPIError, PoolTimeout) as error:
            raise refused("The audit can't be written now", error) from error
