"""From what the user wrote (a path or a URL) to engines that write safely and read freely.

SQLite: one writing connection in WAL mode that syncs every commit, and a few reading
ones where each statement is a transaction of its own, so that no reader holds the WAL back.
PostgreSQL likewise; there the writing connection is also what makes this collector the only one
of its name (`llmtoken.audit.lock`).
"""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from llmtoken.audit.kept import Kept
from llmtoken.audit.lock import Lock, hold_instance
from llmtoken.audit.values import ExactSum, exact_plus
from llmtoken.errors import DatabaseError

_WRITING = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # heeded only while the file is empty; retention needs it
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA wal_autocheckpoint = 4000",  # pages, 16 MB: an index page changed often is moved seldom
    "PRAGMA cache_size = -16384",  # KiB
    "PRAGMA journal_size_limit = 67108864",  # bytes; what a burst left of the WAL is given back
)
_STATEMENTS = 256
"""Statements that a connection keeps ready: calls of each shape have a few of their own."""
_READING = ("PRAGMA query_only = ON",)

# Whoever is cut off from the server learns it in half a minute, and so does the server: what a dead collector
# holds (its name, the rows of a transaction) holds others up no longer.
_POSTGRESQL = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # milliseconds
}
_POSTGRESQL_SERVER = (
    "tcp_keepalives_idle=10",
    "tcp_keepalives_interval=5",
    "tcp_keepalives_count=4",
    "idle_in_transaction_session_timeout=30s",
)

_FORMS = "give a path, sqlite:///path or postgresql+psycopg://user:password@host/name"


@dataclass(frozen=True, slots=True)
class Connections:
    """The engines of one database. `path` is SQLite's; `lock` and `instance` are of who writes."""

    writer: Kept
    reader: Engine
    path: Path | None = None
    lock: Lock | None = None
    instance: str = ""

    def checkpoint(self) -> None:
        """Empty SQLite's write-ahead log into the file, so that the file alone is everything."""
        if self.path is None:
            return
        # Not possible now (a reader, a full disk): the log stays, and whoever opens the file next reads it.
        with suppress(sqlite3.Error, DBAPIError), self.writer.raw() as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def overwrite_deleted(self) -> None:
        """Have what the writer deletes from now on overwritten with zeros, where SQLite would leave it lying."""
        if self.path is not None:
            with self.writer.raw() as connection:
                connection.cursor().execute("PRAGMA secure_delete = ON")

    def disconnect(self) -> None:
        """Close every connection; the next use opens new ones."""
        self.reader.dispose()
        self.writer.dispose()

    def close(self) -> None:
        """Let everything go, the lock last."""
        self.disconnect()
        if self.lock is not None:
            self.lock.release()


def connect(database: str, *, busy_timeout: float, instance: str = "") -> Connections:
    """Engines to write and to read `database`; a missing SQLite file is created. Raises `DatabaseError`.

    `instance`: the collector's name, if not one that stays the same by itself: a file has only one
    collector, a server may have one from each host.
    `busy_timeout`: how long to wait for another process's lock, in seconds.
    """
    url = _url(database)
    if url.drivername != "sqlite":
        name = instance or socket.gethostname()
        writer = _postgresql(url, busy_timeout, size=1)
        hold_instance(writer, name)
        return Connections(Kept(writer), _postgresql(url, busy_timeout, size=4, autocommit=True), instance=name)
    path = _path(url)
    lock = _claim(path)
    return replace(_to_write(path, busy_timeout), lock=lock, instance=instance or "collector")


def connect_beside(database: str, *, busy_timeout: float) -> Connections:
    """Engines to change what is stored in `database` while a collector may be using it. Raises `DatabaseError`."""
    url = _url(database)
    if url.drivername != "sqlite":
        writer = _postgresql(url, busy_timeout, size=1)
        return Connections(Kept(writer), _postgresql(url, busy_timeout, size=4, autocommit=True))
    return _to_write(_present(url), busy_timeout)


def connect_read_only(database: str, *, busy_timeout: float) -> Connections:
    """Engines that can't write, also while a collector does. Raises `DatabaseError`."""
    url = _url(database)
    if url.drivername != "sqlite":
        reader = _postgresql(url, busy_timeout, size=4, autocommit=True, read_only=True)
        return Connections(Kept(reader), reader)
    path = _present(url)
    reader = _sqlite(path, "ro", busy_timeout, size=4, pragmas=_READING)
    return Connections(Kept(reader), reader, path)


def identity(path: Path | None) -> tuple[int, int] | None:
    """Which file stands at `path`; it changes when the file is replaced, and is `None` when there is none."""
    found = _stat(path) if path is not None else None
    return (found.st_dev, found.st_ino) if found is not None else None


def size(path: Path) -> int:
    """Bytes of the file at `path`, 0 when there is none."""
    found = _stat(path)
    return found.st_size if found is not None else 0


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _url(database: str) -> URL:
    """The parsed URL, its driver name being `sqlite` or `postgresql+psycopg`."""
    if "://" not in database:
        return URL.create("sqlite", database=database)
    try:
        url = make_url(database)
    except ArgumentError as error:
        raise DatabaseError("The database URL can't be read", hint=_FORMS) from error
    match url.drivername:
        case "sqlite" | "sqlite+pysqlite":
            return url.set(drivername="sqlite")
        case "postgres" | "postgresql" | "postgresql+psycopg":
            return url.set(drivername="postgresql+psycopg")
    raise DatabaseError(f"llmtoken can't use a {url.drivername} database", hint=_FORMS)


def shown(database: str) -> str:
    """The database's name for messages, without its password."""
    return _url(database).render_as_string(hide_password=True) if "://" in database else database


def _path(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise DatabaseError("The audit needs a file to be kept in", hint="give a path, such as llmtoken.db")
    return Path(url.database).resolve()


def _present(url: URL) -> Path:
    path = _path(url)
    if not path.is_file():
        raise DatabaseError(f"There is no database at {path}", hint="check the path")
    return path


def _to_write(path: Path, busy_timeout: float) -> Connections:
    writer = _sqlite(path, "rw", busy_timeout, size=1, pragmas=_WRITING)
    event.listen(writer, "begin", _begin_immediate)
    return Connections(Kept(writer), _sqlite(path, "rw", busy_timeout, size=4, pragmas=_READING), path)


def _claim(path: Path) -> Lock:
    lock = Lock(path)
    try:
        # Prompts are nobody else's business: the file is the owner's alone, and SQLite gives
        # the files beside it the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError:
        lock.release()
        raise
    return lock


def _sqlite(path: Path, mode: str, busy_timeout: float, *, size: int, pragmas: tuple[str, ...]) -> Engine:
    def connection() -> sqlite3.Connection:
        # Without an isolation level the driver begins nothing by itself: see `_begin_immediate`.
        opened = sqlite3.connect(
            f"{path.as_uri()}?mode={mode}",
            uri=True,
            timeout=busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        try:
            opened.create_aggregate("exact_sum", 1, ExactSum)  # type: ignore[arg-type]  # it may give None
            opened.create_function("exact_plus", 2, exact_plus, deterministic=True)
            for pragma in pragmas:
                opened.execute(pragma)
        except BaseException:
            opened.close()
            raise
        return opened

    return create_engine(
        "sqlite://",
        creator=connection,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # prompts don't belong into error messages
    )


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once: a transaction that reads first could no longer get it later."""
    connection.connection.cursor().execute("BEGIN IMMEDIATE")


def _postgresql(
    url: URL, busy_timeout: float, *, size: int, autocommit: bool = False, read_only: bool = False
) -> Engine:
    """An engine of `size` connections. What the URL says of the connection wins over our own."""
    rules = [*_POSTGRESQL_SERVER, f"lock_timeout={int(busy_timeout * 1000)}ms"]
    if read_only:
        rules.append("default_transaction_read_only=on")
    options = " ".join((*(f"-c {rule}" for rule in rules), str(url.query.get("options", ""))))
    try:
        return create_engine(
            url,
            connect_args={**_POSTGRESQL, **url.query, "options": options},
            isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
            pool_size=size,
            max_overflow=0,
            # A writer that finds its connection broken must know it: see `llmtoken.audit.writer`.
            pool_pre_ping=autocommit,
            hide_parameters=True,
        )
    except ImportError as error:
        raise DatabaseError(
            "PostgreSQL needs the psycopg package", hint="pip install 'llmtoken[postgresql]'"
        ) from error
