"""Writing the audit: many records in one transaction, each request_id once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmtoken.audit import calibration, values
from llmtoken.audit.calibration import Lesson
from llmtoken.audit.connect import Connections, identity
from llmtoken.audit.failures import refused
from llmtoken.audit.reader import Reader
from llmtoken.audit.schema import FIELDS, bodies, calls, heartbeat
from llmtoken.call import Call, Record
from llmtoken.errors import StorageUnavailable

_NAMES = tuple(column.name for column in FIELDS)
_CLEANERS = tuple(values.cleaner(column) for column in FIELDS)
_values_of = attrgetter(*_NAMES)

_INSERT_BODIES = insert(bodies)

_TRUSTED = 1.0
"""How long it holds, in seconds, that the database took a write or refused one: polling shall cost no disk writes."""

_LEAST_TRIAL, _LARGEST_TRIAL = 4096, 16 * 1024 * 1024
"""How much a trial writes, in bytes."""


class Audit(Reader):
    """Reads and writes the audit, from any thread. One per SQLite file, any number per PostgreSQL database."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._turn = threading.Lock()
        self._file = identity(connections.path)
        # Each database's own way to say: insert what isn't there yet, and tell which that was.
        insert_or_skip = sqlite.insert if connections.writer.dialect.name == "sqlite" else postgresql.insert
        self._insert = (
            insert_or_skip(calls)
            .on_conflict_do_nothing(index_elements=[calls.c.request_id])
            .returning(calls.c.id, calls.c.request_id)
        )
        self._took_last, self._last_at = True, float("-inf")
        self._refused_bytes = 0

    def write(self, records: Sequence[Record]) -> list[bool]:
        """Commit all records in one transaction; when this returns they are on disk.

        For each record: `True` when it is new, `False` when its `request_id` was stored before,
        also earlier in `records`. Values that a database can't take are mended on the way in
        (see `llmtoken.audit.values`). Raises `StorageUnavailable` when the database refuses
        (disk full, locked, gone); then nothing of it is stored, and the next write may succeed.
        """
        rows = [_row(record.call) for record in records]
        first: dict[str, int] = {}
        for index, row in enumerate(rows):
            first.setdefault(row["request_id"], index)
        if not rows:
            return []
        with self._writing(sum(map(_weight, records))) as connection:
            stored = connection.execute(self._insert, [rows[index] for index in first.values()])
            new = {request_id: key for key, request_id in stored}
            kept = ((key, records[first[request_id]]) for request_id, key in new.items())
            texts = [_texts(key, record) for key, record in kept if _has_bodies(record)]
            if texts:
                connection.execute(_INSERT_BODIES, texts)
        return [new.pop(row["request_id"], None) is not None for row in rows]

    def writable(self) -> bool:
        """Whether a write would be committed now: the last one was, or a trial is.

        A trial is a real commit, because nothing less notices a full disk; after a refusal it
        is about as large as what was refused.
        """
        if time.monotonic() - self._last_at < _TRUSTED:
            return self._took_last
        size = min(max(self._refused_bytes, _LEAST_TRIAL), _LARGEST_TRIAL)
        try:
            with self._writing(size) as connection:
                connection.execute(update(heartbeat).values(checked_at=datetime.now(UTC), padding=bytes(size)))
        except StorageUnavailable:
            return False
        return True

    def keep(self, lessons: Sequence[Lesson]) -> None:
        """Commit what was learned. Raises `StorageUnavailable` as `write` does."""
        with self._writing(_LEAST_TRIAL * len(lessons)) as connection:
            calibration.save(connection, lessons)

    def close(self) -> None:
        """Empty SQLite's write-ahead log and let go of the database; writes then raise `StorageUnavailable`."""
        with self._turn:
            if not self._closed:
                self._connections.checkpoint()
            super().close()

    @contextmanager
    def _writing(self, size: int) -> Iterator[Connection]:
        """One transaction of about `size` bytes, committed at the end."""
        with self._turn:
            self._require_open()
            self._reopen_if_replaced()
            took = False
            try:
                with self._connections.writer.begin() as connection:
                    yield connection
                took = True
            except (DBAPIError, PoolTimeout) as error:
                raise refused("The audit can't be written now", error) from error
            finally:
                self._took_last, self._last_at = took, time.monotonic()
                self._refused_bytes = 0 if took else size

    def _reopen_if_replaced(self) -> None:
        """A deleted file still takes rows, which are gone later: never acknowledge into one."""
        if (file := identity(self._connections.path)) != self._file:
            self._connections.disconnect()
            self._file = file


def _row(call: Call) -> dict[str, Any]:
    found = zip(_NAMES, _CLEANERS, _values_of(call), strict=True)
    return {name: None if value is None else clean(value) for name, clean, value in found}


def _has_bodies(record: Record) -> bool:
    return record.request_body is not None or record.response_body is not None


def _texts(key: int, record: Record) -> dict[str, Any]:
    return {"call_id": key, "request_body": _text(record.request_body), "response_body": _text(record.response_body)}


def _text(body: str | None) -> str | None:
    return None if body is None else values.text(body)


def _weight(record: Record) -> int:
    return 1024 + len(record.request_body or "") + len(record.response_body or "")
