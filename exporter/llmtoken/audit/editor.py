"""Changing what is stored already, within a collector or beside it: deleting what retention says, correcting costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmtoken.audit import reprice as prices
from llmtoken.audit import retention, search, space
from llmtoken.audit.connect import Connections
from llmtoken.audit.failures import refused
from llmtoken.audit.filter import Filter
from llmtoken.audit.kept import said_by_sqlalchemy
from llmtoken.audit.reader import Reader
from llmtoken.audit.reprice import Advanced, Pricer, Repricing
from llmtoken.audit.retention import Progress, Rules, Summary
from llmtoken.audit.seals.chain import Keys
from llmtoken.audit.seals.marks import Marks
from llmtoken.errors import DatabaseError

_BREATH = 0.005
"""Seconds that the database belongs to others between two pieces of work on the index."""


class Editor(Reader):
    """Reads the audit and changes it, from any thread, also while a collector writes to it.

    What it changes leaves marks in a sealed audit. Where they need a key that isn't given, it changes nothing and
    raises `DatabaseError`.
    """

    def __init__(self, connections: Connections, keys: Keys) -> None:
        super().__init__(connections)
        self._marks = Marks(keys)

    def prune(
        self, rules: Rules, *, pause: Callable[[float], bool], advanced: Callable[[Progress], None] | None = None
    ) -> Summary:
        """Delete what `rules` say; see `llmtoken.audit.retention`.

        Raises `StorageUnavailable`; what was done by then stays done.
        """
        self.require_seal_key()
        return retention.prune(self._store, rules, pause=pause, advanced=advanced)

    def forget(
        self,
        consumers: Collection[str],
        *,
        pause: Callable[[float], bool],
        advanced: Callable[[Progress], None] | None = None,
    ) -> Summary:
        """Delete all bodies of these consumers, and what the file would still show of them; see `prune`.

        A SQLite file has zeros in their place when this returns. Its write-ahead log loses them likewise, unless
        somebody else is reading: then with the next checkpoint.
        """
        self.require_seal_key()
        self._connections.overwrite_deleted()
        summary = retention.forget(self._store, consumers, pause=pause, advanced=advanced)
        more = begin = True
        while more:
            with self._changing() as connection:
                more = search.clear(connection, begin=begin)
            begin = False
            pause(_BREATH)
        self._connections.checkpoint()
        return summary

    def forgettable(self, consumers: Collection[str]) -> int:
        """How many calls `forget` would take the bodies of."""
        with self._reading() as connection:
            return retention.forgettable(connection, consumers)

    @property
    def _store(self) -> retention.Store:
        apart = self._changing_apart if self._connections.writer.dialect.name == "postgresql" else None
        return retention.Store(self._reading, self._changing, self._give_back, self._marks, apart)

    def preview_prices(self, which: Filter, price: Pricer, *, advanced: Advanced | None = None) -> Repricing:
        """What `reprice` would change; see `llmtoken.audit.reprice`. Raises `StorageUnavailable`."""
        return prices.preview(self._repricing(), which, price, advanced=advanced)

    def reprice(self, which: Filter, price: Pricer, *, advanced: Advanced | None = None) -> Repricing:
        """Correct what these calls cost. Raises `StorageUnavailable`; what was done by then stays done."""
        self.require_seal_key()
        return prices.reprice(self._repricing(), which, price, advanced=advanced)

    def _repricing(self) -> prices.Store:
        return prices.Store(self._reading, self._changing, self._marks)

    def require_seal_key(self) -> None:
        """Raise `DatabaseError` where changes need a key that isn't given; all that change something ask first."""
        with self._reading() as connection:
            self._marks.require_key(connection)

    @contextmanager
    def _changing_apart(self) -> Iterator[Connection]:
        """Likewise, over a connection that nobody waits for."""
        self._require_open()
        try:
            with self._connections.reader.connect() as connection:
                connection.execution_options(isolation_level="READ COMMITTED")
                with said_by_sqlalchemy(connection), connection.begin():
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
