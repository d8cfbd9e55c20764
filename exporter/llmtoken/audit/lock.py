"""One collector per SQLite file, one of each name per PostgreSQL database, for the life of the process.

The system lets go of the lock when the process ends, however it ends, so a crash leaves
nothing to clean up. Two collectors would each count only their own half.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from llmtoken.errors import DatabaseError

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """Held from creation to `release`. Raises `DatabaseError` when somebody else holds it."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.name}.lock")
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(self._descriptor)
        except (BlockingIOError, PermissionError) as error:
            holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise DatabaseError(
                f"Another collector is using {database}" + (f" (process {holder})" if holder else ""),
                hint="stop it, or give this one a database of its own; several may share a PostgreSQL database",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the next one in. The file stays: deleting it would let two hold "the" lock."""
        os.close(self._descriptor)


_ANY_NUMBER = 0x6C6C6F


def hold_instance(writer: Engine, instance: str) -> None:
    """Make every connection of `writer` hold the name; the server lets go of it when the connection ends.

    So nobody can write without it, also after the server was restarted and has forgotten who held what. Where
    another collector has the name, connecting waits as long as for any lock, and then raises `DatabaseError`.
    """

    @event.listens_for(writer, "connect")
    def hold(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        try:
            cursor.execute(f"SELECT pg_advisory_lock(hashtextextended(%s, {_ANY_NUMBER}))", (instance,))
            connection.commit()
        except BaseException as error:
            connection.close()
            if getattr(error, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            raise DatabaseError(
                f"Another collector writes the counters of {instance} in this database",
                hint="give each collector an `instance` of its own",
            ) from error


_LOCK_NOT_AVAILABLE = "55P03"
