"""One collector per SQLite file, one of each name per PostgreSQL database, for the life of the process.

The system lets go of the lock when the process ends, however it ends, so a crash leaves
nothing to clean up. Two collectors would each count only their own half.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sqlalchemy import Engine, text

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


class InstanceLock:
    """Held by a session on the PostgreSQL server, until `release` or its end. Raises `DatabaseError` likewise."""

    def __init__(self, engine: Engine, instance: str) -> None:
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        question = text(f"SELECT pg_try_advisory_lock({_ANY_NUMBER}, hashtext(:instance))")
        if not self._connection.execute(question, {"instance": instance}).scalar_one():
            self.release()
            raise DatabaseError(
                f"Another collector writes the counters of {instance} in this database",
                hint="give each collector an `instance` of its own",
            )

    def release(self) -> None:
        """Let the next one in."""
        self._connection.invalidate()  # returned to the pool it would keep the lock
        self._connection.close()
