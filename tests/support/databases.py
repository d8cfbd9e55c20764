"""The databases that the audit can be kept in, for tests that hold for each of them.

The fixture `database` (tests/conftest.py) gives a new one of every engine. What only SQLite
has, or does, is marked with `only_sqlite`; likewise `only_postgresql`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

ENGINES = ("sqlite", "postgresql")

only_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


def connect(database: Path | str) -> Any:
    """A connection of some other program; each statement is committed at once."""
    if isinstance(database, Path) or "://" not in database:
        return sqlite3.connect(database, isolation_level=None, timeout=30)
    return psycopg.connect(database.replace("+psycopg", ""), autocommit=True)


def sql(database: Path | str, statement: str) -> list[tuple[Any, ...]]:
    """What one statement gives, run by hand."""
    with closing(connect(database)) as connection:
        found = connection.execute(statement)
        return found.fetchall() if found.description else []


@contextmanager
def locked(database: Path | str) -> Iterator[None]:
    """Another program holds what a writer needs."""
    with closing(connect(database)) as connection:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("BEGIN IMMEDIATE")
        else:
            connection.execute("BEGIN")
            connection.execute("LOCK TABLE calls, heartbeat IN ACCESS EXCLUSIVE MODE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def days_ago(database: str, days: int) -> Iterator[None]:
    """What is written to a PostgreSQL database meanwhile arrives so many days ago."""
    [(definition,)] = sql(database, "SELECT pg_get_functiondef('llmtoken_call_id'::regproc)")
    sql(database, definition.replace("now()", f"(now() - interval '{days} days')"))
    yield
    sql(database, definition)
