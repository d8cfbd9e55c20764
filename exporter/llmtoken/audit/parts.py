"""Tokens that are told in more than one way: each part of them is counted once, by an id of its own.

The answers of a batch may come in pages of any size, and what a batch says of itself its file says
again, line by line. So a fetch that says such a usage says what it is made up of (`Record.parts`), and
has the parts that no other fetch has. A row is a part that is counted. Only such fetches ask or write
here, in the turn that fetches have to themselves (`llmtoken.audit.replies.take_turns`).

A part is known for as long as there are calls from no later than when it was told last.
Must not know how calls are written; `llmtoken.audit.writer` asks within its transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    LargeBinary,
    String,
    Table,
    delete,
    exists,
    func,
    literal,
    select,
)

from llmtoken.audit.schema import SHORT, calls, metadata
from llmtoken.audit.upsert import upsert
from llmtoken.audit.values import Instant
from llmtoken.call import Call

counted_parts = Table(
    "counted_parts",
    metadata,
    Column("part", LargeBinary(), primary_key=True, doc="Digest of the part's id, and whose it is."),
    Column("counted_by", String(SHORT), nullable=False, doc="`request_id` of the call that has its tokens."),
    Column("told_at", Instant(), nullable=False, doc="When the last call that told it came in, UTC."),
    Index("counted_parts_told_at", "told_at"),
    sqlite_with_rowid=False,
)

_SOME = 500
"""Parts of one statement."""

_END = literal(datetime(9999, 12, 31, tzinfo=UTC), Instant())
_OLD = counted_parts.c.told_at < func.coalesce(select(func.min(calls.c.started_at)).scalar_subquery(), _END)


def counted_before(connection: Connection, call: Call, parts: Sequence[str]) -> dict[str, str]:
    """Which of these parts other calls have, by id, and the `request_id` of each."""
    ids = {digest: part for part in parts for digest in _digests(call, part)}
    digests = list(ids)
    found: dict[str, str] = {}
    for start in range(0, len(digests), _SOME):
        some = counted_parts.c.part.in_(digests[start : start + _SOME])
        for row in connection.execute(select(counted_parts.c.part, counted_parts.c.counted_by).where(some)):
            found[ids[row.part]] = row.counted_by
    return found


def note(connection: Connection, call: Call, parts: Mapping[str, str]) -> None:
    """Remember that this call told these parts, and by whom each is counted unless that is known."""
    rows: list[list[Any]] = [
        [digest, counted_by, call.started_at] for part, counted_by in parts.items() for digest in _digests(call, part)
    ]
    upsert(connection, counted_parts, rows, _told_again)


def any_old(connection: Connection) -> bool:
    """Whether there are parts to forget."""
    return bool(connection.execute(select(exists().where(_OLD))).scalar())


def forget(connection: Connection) -> bool:
    """Forget some older than all calls that are left, in a transaction of its own. Whether there are more."""
    some = select(counted_parts.c.part).where(_OLD).limit(_SOME)
    return connection.execute(delete(counted_parts).where(counted_parts.c.part.in_(some))).rowcount == _SOME


def _told_again(old: ColumnElement[Any], new: ColumnElement[Any], dialect: str) -> ColumnElement[Any] | None:
    if old.name != "told_at":
        return None
    return func.max(old, new) if dialect == "sqlite" else func.greatest(old, new)


def _digests(call: Call, part: str) -> list[bytes]:
    """By each of these it is known: an id means the same part within a provider, and within a host.

    Digests are short whatever an id is, and say nothing of ids that clients gave.
    """
    whose = [f"host {call.host}"] if call.provider_name is None else [f"host {call.host}", call.provider_name]
    return [blake2b(f"{name}\0{part}".encode(errors="surrogatepass"), digest_size=16).digest() for name in whose]
