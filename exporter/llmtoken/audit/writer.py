"""Writing the audit: many records in one transaction, each request_id and each reply once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, insert, update
from sqlalchemy.dialects import postgresql, sqlite

from llmtoken.audit import calibration, replies, search, values
from llmtoken.audit.balance import Watch
from llmtoken.audit.calibration import Lesson
from llmtoken.audit.connect import Connections, identity
from llmtoken.audit.counters import Counters, Entry
from llmtoken.audit.editor import Editor
from llmtoken.audit.rollups import Addition
from llmtoken.audit.schema import FIELDS, bodies, calls, heartbeat
from llmtoken.call import Call, Record
from llmtoken.errors import StorageUnavailable
from llmtoken.totals import Labeller, Labels, Sums
from llmtoken.totals import labels as plain_labels

_NAMES = tuple(column.name for column in FIELDS)
_CLEANERS = tuple(values.cleaner(column) for column in FIELDS)
_values_of = attrgetter(*_NAMES)

# What may be stored otherwise than it was said, and is counted elsewhere.
_counted_of, _counted_in = attrgetter(*replies.TAKEN_OUT), itemgetter(*replies.TAKEN_OUT)

_INSERT_BODIES = insert(bodies)
_said_in = itemgetter("call_id", "request_body", "response_body")

_TRUSTED = 1.0
"""How long it holds, in seconds, that the database took a write or refused one: polling shall cost no disk writes."""

_LEAST_TRIAL, _LARGEST_TRIAL = 4096, 16 * 1024 * 1024
"""How much a trial writes, in bytes."""


class Audit(Editor):
    """Reads and writes the audit, from any thread. One per SQLite file, any number per PostgreSQL database."""

    def __init__(self, connections: Connections, counters: Counters, *, searched: bool = False) -> None:
        super().__init__(connections)
        self._searched = searched
        self._counters, self._counters_known = counters, True
        self._watch = Watch(counters.instance)
        self._turn = threading.RLock()
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

    @property
    def instance(self) -> str:
        """The name under which this collector keeps its counters."""
        return self._counters.instance

    @property
    def counters_began(self) -> datetime:
        """When this collector's counters stood at 0."""
        return self._counters.began

    @property
    def counters(self) -> Mapping[Labels, Sums]:
        """What this collector's counters stand at after the last commit."""
        return self._counters.totals

    def write(self, records: Sequence[Record], labels: Labeller = plain_labels) -> list[Call | None]:
        """Commit all records in one transaction, counted under their `labels`; when this returns they are on disk.

        For each record: the call as it was stored, or `None` when its `request_id` was stored
        before, also earlier in `records`. What is counted of a call must be read from there:
        values that a database can't take are mended on the way in (see `llmtoken.audit.values`),
        and the tokens of a reply that another call has already are taken out (see
        `llmtoken.audit.replies`). Raises `StorageUnavailable` when the database refuses (disk
        full, locked, gone); then nothing of it is stored, and the next write may succeed.
        """
        drafts = [_Draft(record) for record in records]
        first: dict[str, _Draft] = {}
        for draft in drafts:
            first.setdefault(draft.row["request_id"], draft)
        if not drafts:
            return []
        with self._writing(sum(map(_weight, records))) as connection:
            entry = Entry(self._known_counters(connection), connection)
            self._store_calls(connection, list(first.values()), entry, labels)
            entry.write()
            days = Addition()
            for draft in first.values():
                if draft.key is not None:
                    days.add(draft.row)
            texts = [draft.texts() for draft in first.values() if draft.key is not None and draft.has_bodies()]
            if texts:
                connection.execute(_INSERT_BODIES, texts)
                if self._searched:
                    search.add(connection, map(_said_in, texts))
            days.write(connection)
        entry.keep()
        return [draft.call if draft.key is not None else None for draft in drafts]

    def _known_counters(self, connection: Connection) -> Counters:
        """As the database has them: read anew after a commit of which nobody knows whether it was made."""
        if not self._counters_known:
            self._counters = Counters(self._counters.instance, connection)
            self._counters_known = True
        return self._counters

    def _store_calls(self, connection: Connection, drafts: Sequence[_Draft], entry: Entry, labels: Labeller) -> None:
        """Insert the calls that aren't there yet, without the tokens that others have, and count them.

        The fetches go last and one by one, so that each finds whatever may have counted its reply.
        """
        made = [draft for draft in drafts if draft.row["counted_by"] is None]
        fetched = [draft for draft in drafts if draft.row["counted_by"] is not None]
        replies.take_turns(connection, fetching=bool(fetched))
        elsewhere = replies.fetched_before(connection, (draft.row for draft in made))
        for draft in made if elsewhere else ():
            draft.give_up(elsewhere.get(draft.row["request_id"]))
        if made:
            self._insert_calls(connection, made, entry, labels)
        for draft in fetched:
            draft.give_up(replies.counted_before(connection, draft.row))
            self._insert_calls(connection, [draft], entry, labels)

    def _insert_calls(self, connection: Connection, drafts: Sequence[_Draft], entry: Entry, labels: Labeller) -> None:
        shown = {}
        for draft in drafts:
            shown[draft.row["request_id"]] = draft, labels(draft.call)
            draft.row["series_id"] = entry.series(shown[draft.row["request_id"]][1])
        for key, request_id in connection.execute(self._insert, [draft.row for draft in drafts]):
            draft, counted_under = shown[request_id]
            draft.key = key
            entry.add(counted_under, draft.call)

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

    def unbalanced(self) -> int:
        """How many series of our counters differ from their rows, 0 being right; reads what is new since the last time.

        For one thread. Raises `StorageUnavailable` as reads do.
        """
        with self._reading() as connection:
            return self._watch.unbalanced(connection)

    def index_older(self, most: int) -> bool:
        """Index what was said in some calls from before there was an index; whether there may be more.

        Raises `StorageUnavailable` as `write` does.
        """
        if not self._searched:
            return False
        with self._changing() as connection:
            return search.index_older(connection, most)

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
            took = False
            try:
                with self._changing() as connection:
                    yield connection
                took = True
            finally:
                self._took_last, self._last_at = took, time.monotonic()
                self._refused_bytes = 0 if took else size
                self._counters_known = self._counters_known and took

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._turn:
            self._require_open()
            self._reopen_if_replaced()
            with super()._changing() as connection:
                yield connection

    def _give_back(self) -> bool:
        with self._turn:
            return super()._give_back()

    def _reopen_if_replaced(self) -> None:
        """A deleted file still takes rows, which are gone later: never acknowledge into one."""
        if (file := identity(self._connections.path)) != self._file:
            self._connections.disconnect()
            self._file, self._counters_known = file, False
            self._watch = Watch(self._counters.instance)


class _Draft:
    """A record on its way in: the row as it will be stored, the call as it will be counted, its key once it is new."""

    __slots__ = ("call", "key", "record", "row")

    def __init__(self, record: Record) -> None:
        found = zip(_NAMES, _CLEANERS, _values_of(record.call), strict=True)
        row: dict[str, Any] = {name: None if value is None else clean(value) for name, clean, value in found}
        # Who counts a fetched reply is its own call, until `_store_calls` finds another.
        row["counted_by"] = row["request_id"] if record.fetched and replies.has_usage(row) else None
        self.row, self.record = row, record
        self.call = _as_stored(record.call, row)
        self.key: int | None = None

    def give_up(self, counted_by: str | None) -> None:
        """Another call has the tokens."""
        if counted_by is not None:
            self.row.update(replies.TAKEN_OUT, counted_by=counted_by)
            self.call = _as_stored(self.record.call, self.row)

    def has_bodies(self) -> bool:
        return self.record.request_body is not None or self.record.response_body is not None

    def texts(self) -> dict[str, Any]:
        request, response = self.record.request_body, self.record.response_body
        return {"call_id": self.key, "request_body": _text(request), "response_body": _text(response)}


def _as_stored(call: Call, row: Mapping[str, Any]) -> Call:
    if _counted_of(call) == _counted_in(row):
        return call
    return replace(call, **{name: row[name] for name in replies.TAKEN_OUT})


def _text(body: str | None) -> str | None:
    return None if body is None else values.text(body)


def _weight(record: Record) -> int:
    return 1024 + len(record.request_body or "") + len(record.response_body or "")
