"""How much room a SQLite file takes, and giving back what was deleted.

SQLite keeps the pages of deleted rows for the next ones; the file gets shorter only when it is
told to. PostgreSQL looks after that by itself.
"""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import Connection

from llmtoken.audit.kept import Kept

_AT_ONCE = 256
"""Pages of one transaction, 1 MiB: a few milliseconds."""

SPARE = 0.05
"""Part of the file that is kept free: the next rows take it, and need not make the file longer again."""

_INCREMENTAL = "2"


def used(connection: Connection) -> int | None:
    """Bytes that are in use; `None` when the database doesn't say."""
    if connection.dialect.name != "sqlite":
        return None
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def can_shrink(connection: Connection) -> bool:
    """Whether deleting makes the file shorter; it doesn't when another program made the file, or rewrote it."""
    if connection.dialect.name != "sqlite":
        return True
    return str(connection.exec_driver_sql("PRAGMA auto_vacuum").scalar_one()) == _INCREMENTAL


def give_back(writer: Kept) -> bool:
    """Make the file a little shorter, in a transaction of its own. Whether there is more to give."""
    if writer.dialect.name != "sqlite":
        return False
    # Past SQLAlchemy, which would begin a transaction; and as a script, because the driver takes only
    # the first step of a statement without rows, which frees one page.
    with writer.raw() as connection, closing(connection.cursor()) as cursor:
        free, least = _free(cursor)
        if free <= least:
            return False
        cursor.executescript(f"PRAGMA incremental_vacuum({min(_AT_ONCE, free - least)})")
        left, least = _free(cursor)
        return least < left < free


def _free(cursor: object) -> tuple[int, int]:
    """Free pages, and how many may stay so."""
    execute = cursor.execute  # type: ignore[attr-defined]
    free, pages = (int(execute(f"PRAGMA {name}").fetchone()[0]) for name in ("freelist_count", "page_count"))
    return free, int(pages * SPARE)
