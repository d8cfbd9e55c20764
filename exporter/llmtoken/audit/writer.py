"""Writing the audit: many records in one transaction, each request_id and each reply once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, update

from llmtoken.audit import calibration, parts, replies, search
from llmtoken.audit.balance import Watch
from llmtoken.audit.boots import Boots, any_due
from llmtoken.audit.calibration import Lesson
from llmtoken.audit.connect import Connections, identity
from llmtoken.audit.counters import Counters, Entry
from llmtoken.audit.drafts import Draft
from llmtoken.audit.editor import Editor
from llmtoken.audit.insertion import Insertion, insertion
from llmtoken.audit.rollups import Addition
from llmtoken.audit.schema import heartbeat
from llmtoken.audit.seals.chain import Keys
from llmtoken.audit.seals.sealing import Sealer
from llmtoken.call import Call, Record
from llmtoken.errors import StorageUnavailable
from llmtoken.ledger import GRACE, Told
from llmtoken.totals import Labeller, Labels, Sums, total
from llmtoken.totals import labels as plain_labels

_TRUSTED = 1.0
"""How long it holds, in seconds, that the database took a write or refused one: polling shall cost no disk writes."""

_LOOK_EVERY = 1.0
"""Seconds between two looks for gaps that have become old: a scrape asks several times."""

_LEAST_TRIAL, _LARGEST_TRIAL = 4096, 16 * 1024 * 1024
"""How much a trial writes, in bytes."""


class Audit(Editor):
    """Reads and writes the audit, from any thread. One per SQLite file, any number per PostgreSQL database."""

    def __init__(
        self,
        connections: Connections,
        counters: Counters,
        boots: Boots,
        keys: Keys,
        sealer: Sealer,
        *,
        clock: Callable[[], float],
        spans: Sequence[str],
        searched: bool = False,
    ) -> None:
        super().__init__(connections, keys)
        self._counters, self._boots, self._sealer, self._clock = counters, boots, sealer, clock
        self._spans, self._searched = spans, searched
        self._insertion: Insertion
        self._takes_since: float | None = clock()
        self._looked_at = 0.0
        self._known_over: object | None = None
        self._watch = Watch(counters.instance)
        self._turn = threading.RLock()
        self._file = identity(connections.path)
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

    @property
    def losses(self) -> Mapping[tuple[str, str], int]:
        """What this collector found lost, missing and late, by kind and reason, after the last commit."""
        return self._boots.losses

    def write(
        self, records: Sequence[Record], labels: Labeller = plain_labels, told: Sequence[Told] = ()
    ) -> list[Call | None]:
        """Commit all records in one transaction, counted under their `labels`; when this returns they are on disk.

        With them is committed what plugins `told` of themselves in the same batches: a report that isn't
        committed hasn't arrived, and comes again with all that it tells.

        For each record: the call as it was stored, or `None` when its `request_id` was stored
        before, also earlier in `records`. What is counted of a call must be read from there:
        values that a database can't take are mended on the way in (see `llmtoken.audit.values`),
        and the tokens of a reply that another call has already are taken out (see
        `llmtoken.audit.replies`). Raises `StorageUnavailable` when the database refuses (disk
        full, locked, gone); then nothing of it is stored, and the next write may succeed.
        """
        drafts = [Draft(record) for record in records]
        first: dict[str, Draft] = {}
        for draft in drafts:
            first.setdefault(draft.call.request_id, draft)
        if not drafts and not told:
            return []
        with self._writing(sum(map(_weight, records))) as connection:
            self._know(connection)
            entry, days = Entry(self._counters, connection), Addition()
            groups = self._store_calls(connection, list(first.values()), entry, labels)
            for group in groups:
                if stored := [draft.call for draft in group.drafts if draft.key is not None]:
                    sums = total(stored)
                    entry.add(group.labels, sums)
                    days.add(stored, sums)
            entry.write()
            said = [draft for draft in first.values() if draft.key is not None and draft.has_bodies()]
            if said:
                self._insertion.bodies(connection, said)
                if self._searched:
                    search.add(connection, (draft.bodies() for draft in said))
            self._sealer.seal(connection, first.values())
            days.write(connection)
            now = self._clock()
            self._boots.take(connection, told, now, settles=self._may_settle(now))
        entry.keep()
        self._boots.committed()
        self._sealer.committed()
        return [draft.call if draft.key is not None else None for draft in drafts]

    def settle(self) -> None:
        """Find missing what plugins gave out long enough ago, without any news of it. Refused, it is found later."""
        now = self._clock()
        if not self._may_settle(now) or now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        with suppress(StorageUnavailable):
            with self._reading() as connection:
                due = any_due(connection, now)
            if due:
                with self._changing() as connection:
                    self._know(connection)
                    self._boots.settle(connection, now)
                self._boots.committed()

    def _may_settle(self, now: float) -> bool:
        """Only once we took reports for as long as one may be on its way: whoever was refused offers them again."""
        return self._takes_since is not None and now - self._takes_since >= GRACE

    def _know(self, connection: Connection) -> None:
        """Have the counters and the ledger as the database has them.

        Read anew after a commit of which nobody knows whether it was made, and over a new connection: until we
        had it, another collector of our name may have written.
        """
        if self._known_over is not connection.connection.driver_connection:
            self._counters = Counters(self._counters.instance, connection)
            self._boots = Boots(self._counters.instance, connection)
            self._insertion = insertion(connection, self._spans)
            self._sealer.know(connection)
            self._known_over = connection.connection.driver_connection

    def _store_calls(
        self, connection: Connection, drafts: Sequence[Draft], entry: Entry, labels: Labeller
    ) -> Collection[_Group]:
        """Insert the calls that aren't there yet, without the tokens that others have; gives all, as they are counted.

        The fetches go last and one by one, so that each finds whatever may have counted its reply.
        """
        made = [draft for draft in drafts if draft.counted_by is None]
        fetched = [draft for draft in drafts if draft.counted_by is not None]
        replies.take_turns(connection, fetching=bool(fetched))
        elsewhere = replies.fetched_before(connection, (draft.call for draft in made))
        for draft in made if elsewhere else ():
            draft.give_up(elsewhere.get(draft.call.request_id))
        groups: dict[Any, _Group] = {}
        if made:
            _group(made, entry, labels, groups)
            self._insertion.calls(connection, made)
        if fetched:
            replies.index(connection)
        for draft in fetched:
            told = _tell_apart(connection, draft)
            _group([draft], entry, labels, groups)
            self._insertion.calls(connection, [draft])
            if draft.key is not None:
                parts.note(connection, draft.call, told)
        return groups.values()

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
                self._sealer.tell()
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
                self._takes_since = (self._takes_since or self._clock()) if took else None
                self._refused_bytes = 0 if took else size

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._turn:
            self._require_open()
            self._reopen_if_replaced()
            try:
                with super()._changing() as connection:
                    yield connection
            except BaseException:
                self._known_over = None
                raise

    def _give_back(self) -> bool:
        with self._turn:
            return super()._give_back()

    def _reopen_if_replaced(self) -> None:
        """A deleted file still takes rows, which are gone later: never acknowledge into one."""
        if (file := identity(self._connections.path)) != self._file:
            self._connections.disconnect()
            self._file = file
            self._watch = Watch(self._counters.instance)


def _tell_apart(connection: Connection, fetched: Draft) -> dict[str, str]:
    """Take from a fetch what other calls have; gives by whom each part of it is counted, where it has any."""
    elsewhere = replies.counted_before(connection, fetched.call)
    fetched.give_up(elsewhere)
    if fetched.record.parts is None:
        return {}
    ids = fetched.record.parts.ids
    if elsewhere is not None:
        return dict.fromkeys(ids, elsewhere)
    before = parts.counted_before(connection, fetched.call, ids)
    fetched.give_up_parts(before)
    return {**dict.fromkeys(ids, fetched.call.request_id), **before}


class _Group:
    """Calls of one day that are counted under the same labels, and are told apart by nothing that is added up."""

    __slots__ = ("drafts", "labels", "series_id")

    def __init__(self, labels: Labels, series_id: int) -> None:
        self.labels, self.series_id = labels, series_id
        self.drafts: list[Draft] = []


def _group(drafts: Iterable[Draft], entry: Entry, labels: Labeller, groups: dict[Any, _Group]) -> None:
    """Put each draft into its group, whose series it names."""
    for draft in drafts:
        call = draft.call
        key = call.started_at.toordinal(), _counted_under(call)
        group = groups.get(key)
        if group is None:
            found = labels(call)
            group = groups[key] = _Group(found, entry.series(found))
        draft.series_id = group.series_id
        group.drafts.append(draft)


_counted_under = attrgetter(*Labels._fields)


def _weight(record: Record) -> int:
    return 1024 + len(record.request_body or "") + len(record.response_body or "")
