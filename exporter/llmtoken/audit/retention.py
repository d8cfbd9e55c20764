"""Which calls and bodies are deleted, and how: oldest first, in small transactions, nothing that still counts.

A batch is one transaction that deletes, adds the deleted calls' sums to `pruned_totals` and writes
the log, so that the books balance wherever it is cut off. It takes a few milliseconds, and
then the database has as long for others. Must not know when it is run or by whom.

Why so: docs/adr/retention.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, exists, func, literal, select, tuple_

from llmtoken.audit import corrections, counters, dropping, partitions, parts, prunings, replies, space
from llmtoken.audit.prunings import Pruned, What
from llmtoken.audit.schema import SHORT, bodies, calls
from llmtoken.audit.seals.chain import are_there
from llmtoken.audit.seals.marks import Marks
from llmtoken.audit.seals.runs import runs_of
from llmtoken.audit.values import Instant
from llmtoken.config import shown_age
from llmtoken.errors import StorageUnavailable

log = logging.getLogger(__name__)

YOUNG = timedelta(days=1)
"""No rule deletes a younger call: it is how a report that comes twice and a reply that is fetched again are known."""

_FEWEST, _FEWEST_MARKED, _FIRST, _MOST = 1, 100, 16, 500
"""Rows of a transaction; never more than `_FIRST` where each may be the one that was enough."""

_QUICK, _SLOW = 0.005, 0.015
"""Seconds that a transaction may take: below it the next one is larger, above it smaller."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may stay: bodies and calls by age, and by the bytes of a SQLite database. `None` is no limit."""

    bodies: timedelta | None = None
    calls: timedelta | None = None
    bytes: int | None = None

    @property
    def spans(self) -> tuple[str, str]:
        """How much time a new partition of `calls` covers, and one of `bodies`."""
        ages = [age for age in (self.bodies, self.calls) if age is not None]
        return partitions.span(self.calls), partitions.span(min(ages, default=None))

    def __bool__(self) -> bool:
        return any(rule is not None for rule in (self.bodies, self.calls, self.bytes))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one rule has come; `total` is `None` where nobody can know it before."""

    rule: str
    deleted: What
    count: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What was deleted, by rule; how many calls stay because a younger one relies on them; bytes in use."""

    done: tuple[Progress, ...]
    kept: int
    used_before: int | None
    used_after: int | None
    can_shrink: bool
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Store:
    """What retention needs of an audit: to read, to change in one transaction, `space.give_back`, to leave marks."""

    reading: Callable[[], AbstractContextManager[Connection]]
    changing: Callable[[], AbstractContextManager[Connection]]
    give_back: Callable[[], bool]
    marks: Marks
    apart: Callable[[], AbstractContextManager[Connection]] | None = None
    """Likewise, but beside whoever writes, for what takes long; only where there are partitions to drop."""


def prune(
    store: Store,
    rules: Rules,
    *,
    pause: Callable[[float], bool],
    advanced: Callable[[Progress], None] | None = None,
) -> Summary:
    """Delete whatever the rules say. `pause` waits so many seconds, and says whether to go on."""
    with store.reading() as connection:
        used_before, can_shrink = space.used(connection), space.can_shrink(connection)
    run = _Run(store, pause, advanced)
    done = [run.follow(step) for step in _steps(rules, datetime.now(UTC), partitioned=store.apart is not None)]
    run.forget_ids()
    run.forget_parts()
    run.release_seals()
    while run.goes_on and store.give_back():
        run.goes_on = pause(_SLOW)
    with store.reading() as connection:
        used_after = space.used(connection)
    return Summary(tuple(done), len(run.kept), used_before, used_after, can_shrink, not run.goes_on)


def forget(
    store: Store,
    consumers: Collection[str],
    *,
    pause: Callable[[float], bool],
    advanced: Callable[[Progress], None] | None = None,
) -> Summary:
    """Delete every body of these consumers, whatever its age, as `prune` does."""
    run = _Run(store, pause, advanced)
    done = run.follow(_forgetting(consumers))
    while run.goes_on and store.give_back():
        run.goes_on = pause(_SLOW)
    return Summary((done,), 0, None, None, can_shrink=True, interrupted=not run.goes_on)


def forgettable(connection: Connection, consumers: Collection[str]) -> int:
    """How many calls would lose their bodies."""
    return _count(connection, _forgetting(consumers))


# ── Steps ───────────────────────────────────────────────────────────────────────────────

_Place = tuple[datetime, int]
_BEGINNING: _Place = (datetime(1, 1, 1, tzinfo=UTC), 0)
_END = datetime(9999, 12, 31, tzinfo=UTC)
_HAS_BODIES = exists().where(bodies.c.call_id == calls.c.id)


@dataclass(frozen=True, slots=True)
class _Step:
    """One rule: `query` gives what it concerns behind a place, first what goes first."""

    rule: str
    deleted: What
    query: Callable[[_Place], Select[Any]]
    before: datetime
    most_bytes: int | None = None
    by_age: bool = False
    """Whether it concerns all that came in `before`, so that partitions may go whole."""


def _steps(rules: Rules, now: datetime, *, partitioned: bool) -> Iterable[_Step]:
    """Bodies before calls: what was said is the larger part, and is missed less than who used how much.

    Where there are partitions, rows are left for as long as theirs may need until it can be dropped whole.
    """
    if rules.bodies is not None:
        before = now - rules.bodies
        overdue = before - partitions.longest(rules.bodies) if partitioned else before
        rule, having_bodies = f"retain_bodies = {shown_age(rules.bodies)}", _by_time(overdue, _HAS_BODIES)
        yield _Step(rule, "bodies", having_bodies, before, by_age=True)
    if rules.calls is not None:
        before = now - max(rules.calls, YOUNG)
        overdue = before - partitions.longest(rules.calls) if partitioned else before
        yield _Step(f"retain_calls = {shown_age(rules.calls)}", "calls", _by_time(overdue), before, by_age=True)
    if rules.bytes is not None:
        rule, before = f"retain_bytes = {rules.bytes}", now - YOUNG
        yield _Step(rule, "bodies", _bodies_by_arrival, before, rules.bytes)
        yield _Step(rule, "calls", _calls_by_arrival(before), before, rules.bytes)


def _forgetting(consumers: Collection[str]) -> _Step:
    which = calls.c.consumer.in_(consumers)
    rule = f"forget consumer {' or '.join(sorted(consumers))}"[:SHORT]
    return _Step(rule, "bodies", _by_time(_END, which, _HAS_BODIES), _END)


def _by_time(before: datetime, *which: Any) -> Callable[[_Place], Select[Any]]:
    def query(after: _Place) -> Select[Any]:
        behind = tuple_(calls.c.started_at, calls.c.id) > tuple_(literal(after[0], Instant()), literal(after[1]))
        found = select(calls.c.id, calls.c.started_at).where(calls.c.started_at < before, behind, *which)
        return found.order_by(calls.c.started_at, calls.c.id)

    return query


def _bodies_by_arrival(after: _Place) -> Select[Any]:
    found = select(calls.c.id, calls.c.started_at).join_from(bodies, calls).where(bodies.c.call_id > after[1])
    return found.order_by(bodies.c.call_id)


def _calls_by_arrival(before: datetime) -> Callable[[_Place], Select[Any]]:
    def query(after: _Place) -> Select[Any]:
        found = select(calls.c.id, calls.c.started_at).where(calls.c.id > after[1], calls.c.started_at < before)
        return found.order_by(calls.c.id)

    return query


# ── One run ─────────────────────────────────────────────────────────────────────────────


class _Run:
    def __init__(
        self,
        store: Store,
        pause: Callable[[float], bool],
        advanced: Callable[[Progress], None] | None,
    ) -> None:
        self.kept: set[int] = set()
        self.goes_on = True
        self._store, self._pause, self._advanced = store, pause, advanced
        # PostgreSQL only marks a row, whatever its size, and a transaction has a price there by itself.
        self._fewest = _FEWEST if store.apart is None else _FEWEST_MARKED
        self._rows = max(_FIRST, self._fewest)

    def follow(self, step: _Step) -> Progress:
        """Delete what one rule says, until nothing is left of it or somebody stops us."""
        after, count, total = _BEGINNING, self._drop_partitions(step), self._total(step)
        while self.goes_on and (found := self._next(step, after)):
            count += self._delete(step, found)
            after = found[-1].started_at, found[-1].id
            if self._advanced is not None:
                self._advanced(Progress(step.rule, step.deleted, count, total))
        return Progress(step.rule, step.deleted, count, total)

    def _drop_partitions(self, step: _Step) -> int:
        """Drop what is wholly older. What somebody else holds now is dropped in a later run."""
        if self._store.apart is None or not step.by_age:
            return 0
        with self._store.reading() as connection:
            old = dropping.droppable(connection, step.deleted, step.before)
        count = 0
        for partition in old:
            if not self.goes_on:
                break
            try:
                with self._store.apart() as connection:
                    dropped = dropping.drop(
                        connection, step.rule, step.deleted, partition, step.before, marks=self._store.marks
                    )
                    count += dropped or 0
            except StorageUnavailable as error:
                log.info("Partition %s is dropped later: %s", partition.name, error)
            self.goes_on = self._pause(0.0)
        return count

    def forget_ids(self) -> None:
        """The ids of calls in partitions that were dropped."""
        if self._store.apart is not None:
            self._repeat(dropping.forget_ids)

    def forget_parts(self) -> None:
        """What no call that is left told as well."""
        with self._store.reading() as connection:
            old = parts.any_old(connection)
        if old:
            self._repeat(parts.forget)

    def release_seals(self) -> None:
        """Seals of calls that are all deleted."""
        with self._store.reading() as connection:
            sealed = are_there(connection)
        if sealed:
            self._repeat(self._store.marks.release)

    def _repeat(self, work: Callable[[Connection], bool]) -> None:
        """Do it in transactions of its own, with time for others between, until it says that there is no more."""
        more = True
        while more and self.goes_on:
            with self._store.changing() as connection:
                began = time.monotonic()
                more = work(connection)
            self.goes_on = self._pause(time.monotonic() - began)

    def _next(self, step: _Step, after: _Place) -> Sequence[Row[Any]]:
        with self._store.reading() as connection:
            if step.most_bytes is None:
                rows = self._rows
            elif (space.used(connection) or 0) > step.most_bytes:
                rows = min(self._rows, _FIRST)
            else:
                return ()
            return connection.execute(step.query(after).limit(rows)).all()

    def _total(self, step: _Step) -> int | None:
        """Counted only for who watches."""
        if self._advanced is None or step.most_bytes is not None:
            return None
        with self._store.reading() as connection:
            return _count(connection, step)

    def _delete(self, step: _Step, found: Sequence[Row[Any]]) -> int:
        with self._store.changing() as connection:
            began = time.monotonic()
            # Nobody stores a call that relies on one of these meanwhile, and nobody else deletes.
            replies.take_turns(connection, fetching=True)
            gone = (
                _delete_bodies(connection, found) if step.deleted == "bodies" else self._calls(connection, step, found)
            )
            if gone:
                prunings.note(connection, Pruned.of(step.rule, step.deleted, gone, datetime.now(UTC)))
                self._store.marks.deleted(connection, step.deleted, step.rule, runs_of(key for key, _ in gone))
        self._breathe(time.monotonic() - began)
        return len(gone)

    def _calls(self, connection: Connection, step: _Step, found: Sequence[Row[Any]]) -> list[_Gone]:
        known = select(calls.c.id, calls.c.request_id).where(calls.c.id.in_([row.id for row in found]))
        ids = {row.request_id: row.id for row in connection.execute(known)}
        relied_on = {ids[request_id] for request_id in replies.relied_on(connection, ids, since=step.before)}
        self.kept |= relied_on
        doomed = set(ids.values()) - relied_on
        if doomed:
            counters.take_out(connection, calls.c.id.in_(doomed))
            corrections.prune(connection, calls.c.id.in_(doomed))
            connection.execute(delete(calls).where(calls.c.id.in_(doomed)))  # bodies go with their call
        return [(row.id, row.started_at) for row in found if row.id in doomed]

    def _breathe(self, took: float) -> None:
        """Leave the database to others for as long as we had it, and find out how much may be done at once."""
        if took > _SLOW:
            self._rows = max(self._fewest, self._rows // 2)
        elif took < _QUICK:
            self._rows = min(_MOST, self._rows * 2)
        self.goes_on = self._pause(took)


def _count(connection: Connection, step: _Step) -> int:
    concerned = step.query(_BEGINNING).order_by(None).subquery()
    return int(connection.execute(select(func.count()).select_from(concerned)).scalar_one())


_Gone = tuple[int, datetime]


def _delete_bodies(connection: Connection, found: Sequence[Row[Any]]) -> list[_Gone]:
    wanted = delete(bodies).where(bodies.c.call_id.in_([row.id for row in found])).returning(bodies.c.call_id)
    gone = set(connection.execute(wanted).scalars())
    return [(row.id, row.started_at) for row in found if row.id in gone]
