"""The audit as the rest of the collector sees it: open it, write records, read them back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Row, Select, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmtoken.audit import migrate, values
from llmtoken.audit.connect import Connections, connect, connect_read_only, explained, hint
from llmtoken.audit.schema import TOKENS, bodies, calls, heartbeat
from llmtoken.call import Record
from llmtoken.errors import StorageUnavailable

_FIELDS = tuple(column for column in calls.columns if column.name != "id")
_CLEANERS = tuple((column.name, values.cleaner(column)) for column in _FIELDS)

_RETRY_AFTER = 2.0
"""When a refused writer should come back, in seconds."""

_TRUSTED = 1.0
"""How long a finding that the database is writable holds, in seconds; so that polling costs no disk writes."""

_PADDING = (4096, 16 * 1024 * 1024)
"""Least and most bytes that a check of the database writes."""


def open(database: str, *, busy_timeout: float = 5.0) -> Audit:  # noqa: A001 - audit.open reads well
    """Open `database` (a path, or a SQLAlchemy URL) for the one collector, creating or migrating it.

    `busy_timeout`: how long to wait for another process's lock on a SQLite file, in seconds.
    Raises `DatabaseError`: not a database, damaged, of a newer version, somebody else's,
    in use by another collector, locked, or not writable. The file is then left as it was.
    """
    with explained(database):
        connections = connect(database, busy_timeout=busy_timeout)
        try:
            with connections.writer.begin() as connection:
                migrate.upgrade(connection)
        except BaseException:
            connections.close()
            raise
    return Audit(connections)


def open_read_only(database: str, *, busy_timeout: float = 5.0) -> Reader:
    """Open `database` for reading alone, also while a collector is using it. Raises `DatabaseError`."""
    with explained(database):
        connections = connect_read_only(database, busy_timeout=busy_timeout)
        try:
            with connections.reader.connect() as connection:
                migrate.require_newest(connection)
        except BaseException:
            connections.close()
            raise
    return Reader(connections)


class Reader:
    """Reads the audit; from any thread. Raises `StorageUnavailable` when the database doesn't answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, request_id: str, *, bodies: bool = False) -> dict[str, Any] | None:
        """One call as JSON-ready dict with exactly the keys of DESIGN §5, in that order; `None` if there is none.

        `started_at` is RFC 3339 in UTC, `cost` a string of decimal digits (a JSON number would
        not be exact). With `bodies`, `request_body` and `response_body` follow; they are `None`
        when they weren't kept.
        """
        query = _select(with_bodies=bodies).where(calls.c.request_id == values.text(request_id))
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _readable(row)

    def latest(self, limit: int) -> list[dict[str, Any]]:
        """The calls that started last, newest first, each as `call` gives it without bodies."""
        query = _select().order_by(calls.c.started_at.desc(), calls.c.id.desc()).limit(limit)
        with self._reading() as connection:
            return [_readable(row) for row in connection.execute(query)]

    def count(self) -> int:
        """How many calls are stored."""
        with self._reading() as connection:
            return int(connection.execute(select(func.count()).select_from(calls)).scalar_one())

    def totals(self) -> dict[str, int]:
        """The sum of each column that counts tokens, by the column's name; unknown counts as nothing."""
        with self._reading() as connection:
            row = connection.execute(select(*(func.sum(column) for column in TOKENS))).one()
        return {column.name: int(total or 0) for column, total in zip(TOKENS, row, strict=True)}

    def size_bytes(self) -> int:
        """Space the database takes on disk, in bytes; SQLite's write-ahead log is part of it."""
        path = self._connections.path
        if path is None:
            with self._reading() as connection:
                return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
        files = (path, path.with_name(f"{path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Let go of the database. Reads and writes then raise `StorageUnavailable`."""
        if not self._closed:
            self._closed = True
            self._connections.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._closed:
            raise StorageUnavailable("The audit is closed", hint="the collector is stopping; try again later")
        try:
            with self._connections.reader.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise _unavailable("The audit can't be read now", error) from error


class Audit(Reader):
    """Writes the audit as well. One per SQLite file, any number per PostgreSQL database; from any thread."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._turn = threading.Lock()
        self._file = _identity(connections.path)
        self._insert = _INSERT[connections.writer.dialect.name]
        self._verdict, self._verdict_at = True, time.monotonic()
        self._refused = 0

    def write(self, records: Sequence[Record]) -> list[bool]:
        """Commit all records in one transaction; when this returns they are on disk.

        For each record: `True` when it is new, `False` when its `request_id` was stored before,
        also earlier in `records`. Values that a database can't take are mended on the way in
        (see `llmtoken.audit.values`). Raises `StorageUnavailable` when the database refuses
        (disk full, locked, gone); then nothing of it is stored, and the next write may succeed.
        """
        rows: dict[str, dict[str, Any]] = {}
        first: dict[str, Record] = {}
        order: list[str] = []
        for record in records:
            row = {name: clean(getattr(record.call, name)) for name, clean in _CLEANERS}
            order.append(row["request_id"])
            rows.setdefault(row["request_id"], row)
            first.setdefault(row["request_id"], record)
        if not rows:
            return []
        with self._writing(sum(map(_weight, first.values()))) as connection:
            ids = {request_id: key for key, request_id in connection.execute(self._insert, [*rows.values()])}
            texts = [_texts(key, first[request_id]) for request_id, key in ids.items() if _has_text(first[request_id])]
            if texts:
                connection.execute(insert(bodies), texts)
        return [ids.pop(request_id, None) is not None for request_id in order]

    def writable(self) -> bool:
        """Whether a write would be committed now: the last one was, or a small one is tried.

        A trial is a real commit, because nothing less notices a full disk; after a refusal it
        is as large as what was refused. What was found holds for a second.
        """
        if time.monotonic() - self._verdict_at < _TRUSTED:
            return self._verdict
        least, most = _PADDING
        padding = bytes(min(max(self._refused, least), most))
        try:
            with self._writing(len(padding)) as connection:
                connection.execute(update(heartbeat).values(checked_at=datetime.now(UTC), padding=padding))
        except StorageUnavailable:
            return False
        return True

    def close(self) -> None:
        """Empty the write-ahead log into the database, and let go of it."""
        with self._turn:
            if not self._closed:
                self._connections.checkpoint()
            super().close()

    @contextmanager
    def _writing(self, size: int) -> Iterator[Connection]:
        """One transaction, committed at the end. `size` is about how many bytes go in."""
        with self._turn:
            if self._closed:
                raise StorageUnavailable("The audit is closed", hint="the collector is stopping; try again later")
            self._reopen_if_replaced()
            try:
                with self._connections.writer.begin() as connection:
                    yield connection
            except (DBAPIError, PoolTimeout) as error:
                self._judge(False, refused=size)
                raise _unavailable("The audit can't be written now", error) from error
            self._judge(True, refused=0)

    def _judge(self, verdict: bool, *, refused: int) -> None:
        self._verdict, self._verdict_at, self._refused = verdict, time.monotonic(), refused

    def _reopen_if_replaced(self) -> None:
        """A deleted file still takes rows, and then they are gone: never acknowledge into one."""
        if (file := _identity(self._connections.path)) != self._file:
            self._connections.disconnect()
            self._file = file


_INSERT = {
    module.__name__.rpartition(".")[2]: module.insert(calls)
    .on_conflict_do_nothing(index_elements=[calls.c.request_id])
    .returning(calls.c.id, calls.c.request_id)
    for module in (postgresql, sqlite)
}
"""Each database's own way to say: insert what isn't there yet, and tell which that was."""


def _select(*, with_bodies: bool = False) -> Select[Any]:
    if not with_bodies:
        return select(*_FIELDS)
    return select(*_FIELDS, bodies.c.request_body, bodies.c.response_body).select_from(calls.outerjoin(bodies))


def _readable(row: Row[Any]) -> dict[str, Any]:
    call = row._asdict()
    call["started_at"] = values.rfc3339(call["started_at"])
    if call["cost"] is not None:
        call["cost"] = f"{call['cost']:f}"
    return call


def _has_text(record: Record) -> bool:
    return record.request_body is not None or record.response_body is not None


def _texts(key: int, record: Record) -> dict[str, Any]:
    return {
        "call_id": key,
        "request_body": values.text(record.request_body),
        "response_body": values.text(record.response_body),
    }


def _weight(record: Record) -> int:
    return 1024 + len(record.request_body or "") + len(record.response_body or "")


def _identity(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _unavailable(what: str, error: DBAPIError | PoolTimeout) -> StorageUnavailable:
    if isinstance(error, DBAPIError):
        return StorageUnavailable(f"{what}: {error.orig}", hint=hint(error), retry_after=_RETRY_AFTER)
    return StorageUnavailable(f"{what}: every connection is busy", hint="try again later", retry_after=_RETRY_AFTER)
