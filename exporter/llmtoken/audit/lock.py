"""One collector per SQLite file: a lock file beside it, held for the life of the process.

The system lets go of the lock when the process ends, however it ends, so a crash leaves
nothing to clean up. Two collectors would each count only their own half.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

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
