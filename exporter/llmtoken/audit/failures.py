"""What the driver or the system complains of, in our own errors with a way to mend it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmtoken.errors import DatabaseError, StorageUnavailable

_RETRY_AFTER = 2.0
"""When a sender whose report was refused should come back, in seconds."""


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what the driver or the system says while opening `name` into a `DatabaseError` with a hint."""
    try:
        yield
    except DBAPIError as error:
        raise DatabaseError(f"Can't open the database {name}: {error.orig}", hint=_hint(error.orig)) from error
    except OSError as error:
        hint = "its folder must exist, and this user must be allowed to write there"
        raise DatabaseError(f"Can't open the database {name}: {error.strerror}", hint=hint) from error


def refused(what: str, error: DBAPIError | PoolTimeout | sqlite3.Error | DatabaseError) -> StorageUnavailable:
    """What to raise when an open database doesn't do as told."""
    if isinstance(error, DatabaseError):  # it was connected to anew
        return StorageUnavailable(f"{what}: {error.message}", hint=error.hint, retry_after=_RETRY_AFTER)
    if not isinstance(error, PoolTimeout):
        said = error.orig if isinstance(error, DBAPIError) else error
        return StorageUnavailable(f"{what}: {said}", hint=_hint(said), retry_after=_RETRY_AFTER)
    return StorageUnavailable(f"{what}: every connection is busy", hint="try again later", retry_after=_RETRY_AFTER)


def _hint(error: BaseException | None) -> str:
    if isinstance(error, sqlite3.Error):
        name, otherwise = getattr(error, "sqlite_errorname", ""), "look at the system's log"
    else:
        name, otherwise = getattr(error, "sqlstate", None) or "", "look at the database server's log"
        if not name:
            return (
                "check that the database server runs, that host, name and password are right, and that the "
                "database is there: createdb NAME"
            )
    return next((hint for start, hint in _HINTS.items() if name.startswith(start)), otherwise)


_HINTS = {
    "SQLITE_NOTADB": "this file isn't a SQLite database; it was left as it is: give another path",
    "SQLITE_CORRUPT": "the file is damaged and was left as it is: move it away and restore a copy, or "
    "save what can be read with `sqlite3 FILE .recover`",
    "SQLITE_BUSY": "another program holds a lock on it: close what has it open and try again",
    "SQLITE_READONLY": "this user may only read it: change the owner or mode of the file and its folder",
    "SQLITE_CANTOPEN": "it must be there, be a file, and this user must be allowed to read and write it and its folder",
    "SQLITE_FULL": "the disk is full: make room and try again",
    "25006": "this server only reads: give the address of the primary",
    "42501": "give this user the database: ALTER DATABASE NAME OWNER TO USER",
    "53100": "the disk of the database server is full: make room there",
    "55P03": "another program holds a lock on it: look for it in pg_locks",
    "57P": "the database server is stopping or starting: it comes back by itself, or look at its log",
}
