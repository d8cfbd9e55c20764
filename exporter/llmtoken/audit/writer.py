"""Writing the audit: many records in one transaction, each request_id and each reply once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import Connection, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmtoken.audit import calibration, replies, values
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

# What may be stored otherwise than it was said, and is counted elsewhere.
_counted_of, _counted_in = attrgetter(*replies.TAKEN_OUT), itemgetter(*replies.TAKEN_OUT)

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

    def write(self, records: Sequence[Record]) -> list[Call | None]:
        """Commit all records in one transaction; when this returns they are on disk.

        For each record: the call as it was stored, or `None` when its `request_id` was stored
        before, also earlier in `records`. What is counted of a call must be read from there:
        values that a database can't take are mended on the way in (see `llmtoken.audit.values`),
        and the tokens of a reply that another call has already are taken out (see
        `llmtoken.audit.replies`). Raises `StorageUnavailable` when the database refuses (disk
        full, locked, gone); then nothing of it is stored, and the next write may succeed.
        """
        rows = [_row(record) for record in records]
        first: dict[str, int] = {}
        for index, row in enumerate(rows):
            first.setdefault(row["request_id"], index)
        if not rows:
            return []
        with self._writing(sum(map(_weight, records))) as connection:
            new = self._store_calls(connection, [rows[index] for index in first.values()])
            kept = ((key, records[first[request_id]]) for request_id, key in new.items())
            texts = [_texts(key, record) for key, record in kept if _has_bodies(record)]
            if texts:
                connection.execute(_INSERT_BODIES, texts)
        return [
            None if new.pop(row["request_id"], None) is None else _as_stored(record.call, row)
            for record, row in zip(records, rows, strict=True)
        ]

    def _store_calls(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Insert the rows that aren't there yet, without the tokens that others have; gives their keys by `request_id`.

        The fetches go last and one by one, so that each finds whatever may have counted its reply.
        """
        made = [row for row in rows if row["counted_by"] is None]
        fetched = [row for row in rows if row["counted_by"] is not None]
        replies.take_turns(connection, fetching=bool(fetched))
        elsewhere = replies.fetched_before(connection, made)
        for row in made if elsewhere else ():
            _give_up(row, elsewhere.get(row["request_id"]))
        new = self._insert_calls(connection, made) if made else {}
        for row in fetched:
            _give_up(row, replies.counted_before(connection, row))
            new |= self._insert_calls(connection, [row])
        return new

    def _insert_calls(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
        return {request_id: key for key, request_id in connection.execute(self._insert, rows)}

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


def _row(record: Record) -> dict[str, Any]:
    """The columns. Who counts a fetched reply is its own call, until `_store_calls` finds another."""
    found = zip(_NAMES, _CLEANERS, _values_of(record.call), strict=True)
    row = {name: None if value is None else clean(value) for name, clean, value in found}
    row["counted_by"] = row["request_id"] if record.fetched and replies.has_usage(row) else None
    return row


def _give_up(row: dict[str, Any], counted_by: str | None) -> None:
    if counted_by is not None:
        row.update(replies.TAKEN_OUT, counted_by=counted_by)


def _as_stored(call: Call, row: Mapping[str, Any]) -> Call:
    if _counted_of(call) == _counted_in(row):
        return call
    return replace(call, **{name: row[name] for name in replies.TAKEN_OUT})


def _has_bodies(record: Record) -> bool:
    return record.request_body is not None or record.response_body is not None


def _texts(key: int, record: Record) -> dict[str, Any]:
    return {"call_id": key, "request_body": _text(record.request_body), "response_body": _text(record.response_body)}


def _text(body: str | None) -> str | None:
    return None if body is None else values.text(body)


def _weight(record: Record) -> int:
    return 1024 + len(record.request_body or "") + len(record.response_body or "")
