"""Reading the audit back: one call, pages of them, sums."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Column, Connection, Row, Select, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmtoken.audit import balance, blocks, calibration, listing, prunings, repricings, values
from llmtoken.audit.balance import Balance
from llmtoken.audit.blocks import Span
from llmtoken.audit.calibration import Lesson
from llmtoken.audit.connect import Connections, size
from llmtoken.audit.failures import refused
from llmtoken.audit.filter import Filter
from llmtoken.audit.listing import Page
from llmtoken.audit.prunings import Pruned
from llmtoken.audit.repricings import Repriced
from llmtoken.audit.schema import FIELDS, TOKENS, bodies, calls
from llmtoken.audit.seals import proof
from llmtoken.audit.seals.chain import Keys
from llmtoken.audit.seals.proof import Proof
from llmtoken.audit.usage import usage
from llmtoken.errors import StorageUnavailable

_PIECE = 16
"""Calls with bodies that are held at once: each may have megabytes."""

_SHOWN = tuple(column for column in FIELDS if column is not calls.c.details)

_clean_request_id = values.cleaner(calls.c.request_id)


class Reader:
    """Reads the audit, from any thread. Raises `StorageUnavailable` when the database doesn't answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._closed = False

    @property
    def path(self) -> Path | None:
        """The SQLite file; `None` on a server."""
        return self._connections.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, request_id: str, *, details: bool = False, bodies: bool = False) -> dict[str, Any] | None:
        """One call as a JSON-ready dict with exactly the keys of DESIGN §5 in that order; `None` if there is none.

        `started_at` is RFC 3339 in UTC; `cost` is a string of decimal digits, because a JSON
        number would not be exact. With `details`, those follow as an object; with `bodies`,
        `request_body` and `response_body`, which are `None` when they weren't kept.
        """
        more = (calls.c.details,) if details else ()
        query = _select(*more, with_bodies=bodies).where(calls.c.request_id == _clean_request_id(request_id))
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _readable(row)

    def counted_by(self, request_id: str) -> str | None:
        """The `request_id` of the call that has the tokens of the same reply, if that is another one."""
        query = select(calls.c.counted_by).where(calls.c.request_id == _clean_request_id(request_id))
        with self._reading() as connection:
            found: str | None = connection.execute(query.where(calls.c.counted_by != calls.c.request_id)).scalar()
        return found

    def list(
        self, which: Filter | None = None, limit: int = 100, cursor: str | None = None, *, bodies: bool = False
    ) -> Page:
        """A page of the calls that fit, newest first, each as `call` gives it.

        `cursor` is the `next_cursor` of the page before; a call that arrives meanwhile neither repeats
        nor hides another. Raises `QueryError`: a limit or a cursor that isn't one.
        """
        query = _select(calls.c.id, with_bodies=bodies)
        with self._reading() as connection:
            rows = listing.rows(connection, query, which or Filter(), limit, cursor)
        more = listing.cursor_behind(rows[limit - 1]) if len(rows) > limit else None
        found = [_readable(row) for row in rows[:limit]]
        for call in found:
            del call["id"]
        return Page(found, more)

    def pages(
        self, which: Filter | None = None, cursor: str | None = None, *, size: int = listing.MOST, bodies: bool = False
    ) -> Iterator[Page]:
        """All pages from `cursor` on. Whoever keeps the last `next_cursor` can go on there later.

        Each page is read when it is asked for, so that a reader that takes its time holds nothing back.
        """
        if bodies:
            size = min(size, _PIECE)
        while True:
            page = self.list(which, size, cursor, bodies=bodies)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def usage(self, which: Filter | None = None, group_by: Sequence[str] = ()) -> builtins.list[dict[str, Any]]:
        """What the calls that fit add up to, a row for each group; without `group_by`, one row for all.

        `group_by`: one of `hour`, `day`, `month` (UTC), and any of what calls are filtered by: `model`,
        `response_model`, `provider`, `operation`, `consumer`, `status`, `error`. A row has those first,
        `None` where nobody knows; then `calls`, `errors`, all tokens (`None` where no call said),
        `estimated_calls` (tokens that we counted), `cost` (US dollars, exact digits as a string) and
        `unpriced_calls` (tokens, but no price). Ordered by time, then by calls. Raises `QueryError`.
        """
        with self._reading() as connection:
            return usage(connection, which or Filter(), group_by)

    def every(self) -> Iterator[dict[str, Any]]:
        """Every call with its bodies, as `call` gives them, in order of arrival.

        Read in small pieces, so that a reader that takes its time holds nothing back.
        """
        after = 0
        while True:
            query = _select(calls.c.id, with_bodies=True).where(calls.c.id > after).order_by(calls.c.id).limit(_PIECE)
            with self._reading() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                call = _readable(row)
                after = call.pop("id")
                yield call
            if len(rows) < _PIECE:
                return

    def span(self, which: Filter, after: int = 0) -> Span:
        """Where all calls are that fit and arrived behind the id `after`, as of now; see `llmtoken.audit.blocks`."""
        with self._reading() as connection:
            return blocks.span(connection, which, after)

    def blocks(self, which: Filter, where: Span, *, bodies: bool = False) -> Iterator[Sequence[blocks.Row]]:
        """Those calls, in order of arrival, a block at a time, as `llmtoken.audit.blocks.fields` says.

        Each block is read when it is asked for, so that a reader that takes its time holds nothing back.
        """
        while where.after < where.last:
            with self._reading() as connection:
                rows = blocks.block(connection, which, where, with_bodies=bodies)
            if not rows:
                return
            yield rows
            where = Span(rows[-1][0], where.last)

    def count(self) -> int:
        """How many calls are stored."""
        with self._reading() as connection:
            return int(connection.execute(select(func.count()).select_from(calls)).scalar_one())

    def totals(self) -> dict[str, int]:
        """The sum of each column that counts tokens, by the column's name; unknown adds nothing."""
        with self._reading() as connection:
            row = connection.execute(select(*(func.sum(column) for column in TOKENS))).one()
        return {column.name: int(total or 0) for column, total in zip(TOKENS, row, strict=True)}

    def verify(self) -> Balance:
        """Hold every counter's total against its rows; reads all of `calls`. See `llmtoken.audit.balance`."""
        with self._reading() as connection:
            return balance.verify(connection)

    def verify_seals(self, keys: Sequence[str] = (), noted: Iterable[str] = ()) -> Proof:
        """Hold every call and body against its seal, made with one of `keys`.

        `noted` are ends of chains that must be in them still. Reads everything. See `llmtoken.audit.seals`.
        """
        with self._reading() as connection, _moment(connection):
            return proof.verify(connection, Keys(keys), noted)

    def prunings(self, limit: int) -> builtins.list[Pruned]:
        """What was deleted, newest first; see `llmtoken.audit.prunings`."""
        with self._reading() as connection:
            return prunings.log(connection, limit)

    def repricings(self, limit: int) -> Sequence[Repriced]:
        """What costs were corrected, newest first; see `llmtoken.audit.repricings`."""
        with self._reading() as connection:
            return repricings.log(connection, limit)

    def lessons(self) -> builtins.list[Lesson]:
        """What was learned about counting; see `llmtoken.audit.calibration`."""
        with self._reading() as connection:
            return calibration.load(connection)

    def size_bytes(self) -> int | None:
        """Space the database takes on disk, in bytes, SQLite's write-ahead log included; `None` when it doesn't say."""
        path = self._connections.path
        if path is not None:
            return size(path) + size(path.with_name(f"{path.name}-wal"))
        with suppress(StorageUnavailable), self._reading() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
        return None

    def disk_available_bytes(self) -> int | None:
        """Room that is left on a SQLite file's file system, as far as we may take it; `None` for other databases."""
        path = self._connections.path
        return None if path is None else shutil.disk_usage(path.parent).free

    def disk_size_bytes(self) -> int | None:
        """Size of a SQLite file's file system; `None` for other databases."""
        path = self._connections.path
        return None if path is None else shutil.disk_usage(path.parent).total

    def close(self) -> None:
        """Let go of the database; reads then raise `StorageUnavailable`."""
        if not self._closed:
            self._closed = True
            self._connections.close()

    def _require_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("The audit is closed", hint="the collector is stopping; try again later")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._require_open()
        try:
            with self._connections.reader.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise refused("The audit can't be read now", error) from error


@contextmanager
def _moment(connection: Connection) -> Iterator[None]:
    """A transaction in which all that is read is of one moment."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")  # the reader's driver begins nothing by itself
        try:
            yield
        finally:
            connection.exec_driver_sql("ROLLBACK")
    else:
        connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            # First of all: a partition that is dropped meanwhile would be missing from what was before.
            connection.exec_driver_sql("LOCK TABLE calls, bodies IN ACCESS SHARE MODE")
            yield


def _select(*more: Column[Any], with_bodies: bool = False) -> Select[Any]:
    if not with_bodies:
        return select(*_SHOWN, *more)
    texts = (bodies.c.request_body, bodies.c.response_body)
    return select(*_SHOWN, *more, *texts).select_from(calls.outerjoin(bodies))


def _readable(row: Row[Any]) -> dict[str, Any]:
    call = row._asdict()
    call["started_at"] = values.rfc3339(call["started_at"])
    if call["cost"] is not None:
        call["cost"] = f"{call['cost']:f}"
    return call
