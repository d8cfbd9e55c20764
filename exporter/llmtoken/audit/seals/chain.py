"""The chains of seals: the table, how a seal is added to its chain, and with which key.

One collector adds to the chain of its name, as it is the only one that counts under it; the chain without a name is
shared by all who delete or correct, which they do one after the other. Must not know what seals tell of.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Dialect, Index, LargeBinary, String, Table, select, text

from llmtoken.audit import values
from llmtoken.audit.schema import SHORT, metadata
from llmtoken.audit.seals import digests
from llmtoken.audit.values import Instant
from llmtoken.errors import DatabaseError

CALLS, BEGAN, ENDED = "calls", "began", "ended"
"""Kinds of seals in a collector's chain."""

DELETED_CALLS, DELETED_BODIES, CHANGED, RELEASED = "deleted_calls", "deleted_bodies", "changed", "released"
"""Kinds in the chain that all share."""

SHARED = ""
"""What stands for a collector's name in that chain."""

_LOOKED_UP = text(f"kind IN ('{DELETED_CALLS}', '{RELEASED}')")

seals = Table(
    "seals",
    metadata,
    Column(
        "instance",
        String(SHORT),
        primary_key=True,
        doc="Collector whose chain it is in (setting `instance`); empty in the chain of deletions and corrections.",
    ),
    Column("sequence", BigInteger(), primary_key=True, autoincrement=False, doc="Place in the chain, from 1 on."),
    Column(
        "kind",
        String(SHORT),
        nullable=False,
        doc="What it tells of: `calls`, `began`, `ended`, `deleted_calls`, `deleted_bodies`, `changed`, `released`.",
    ),
    Column("made_at", Instant(), nullable=False, doc="When it was made, UTC."),
    Column("key_id", String(SHORT), nullable=False, doc="Which key it was made with; empty: none."),
    Column("last_id", BigInteger(), nullable=False, doc="Highest `calls.id` that it tells of; 0: of none."),
    Column("content", LargeBinary(), nullable=False, doc="What it tells: digests, or a JSON object."),
    Column("link", LargeBinary(), nullable=False, doc="Digest of all the above and the link before."),
    Index("seals_looked_up", "kind", "sequence", sqlite_where=_LOOKED_UP, postgresql_where=_LOOKED_UP),
)


class Seal(NamedTuple):
    """A row of the table, as it was read: anything may stand in it."""

    instance: Any
    sequence: Any
    kind: Any
    made_at: Any
    key_id: Any
    last_id: Any
    content: Any
    link: Any

    def linked(self, key: bytes, before: Any) -> bytes:
        """What its link must be behind that one."""
        return digests.mac(key, digests.encode(("seal", before, *self[:-1])))


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends; before its first seal, at 0."""

    instance: str
    sequence: int = 0
    link: bytes = bytes(digests.LENGTH)
    kind: str = ""
    key_id: str = ""
    last_id: int = 0


class Keys:
    """The keys that seals may have been made with; new ones are made with the first. None: seals have no key."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._known = {_id_of(secret): secret.encode() for secret in secrets} or {"": b""}
        self.newest = next(iter(self._known.items()))
        """Its id and the key."""

    def __bool__(self) -> bool:
        return bool(self.newest[0])

    def get(self, key_id: Any) -> bytes | None:
        """The key of that id; the empty id needs none. `None`: it wasn't given."""
        return b"" if key_id == "" else self._known.get(key_id)

    def require(self, heads: Iterable[Head]) -> None:
        """Raise `DatabaseError` unless whoever has these keys may go on with the chains."""
        for head in heads:
            if self.get(head.key_id) is None:
                given = "the key that is given isn't that one" if self else "no key is given"
                raise DatabaseError(
                    f"The audit's seals were made with a key ({head.key_id}), and {given}",
                    hint="set seal_key or seal_key_file as the collector has it; a key that was replaced belongs on a "
                    "further line of the file. Nothing was changed",
                )


def _id_of(secret: str) -> str:
    return hmac.digest(secret.encode(), b"llmtoken seals", "sha256")[:8].hex()


# ── Reading ─────────────────────────────────────────────────────────────────────────────

_COLUMNS = ", ".join(column.name for column in seals.columns)
_MADE_AT = Seal._fields.index("made_at")


def are_there(connection: Connection) -> bool:
    """Whether anything was ever sealed in this database."""
    return connection.execute(select(seals.c.sequence).limit(1)).first() is not None


def instances(connection: Connection) -> Iterator[str]:
    """The names of the chains, in order; each is looked up, because a chain may have millions of seals."""
    query = select(seals.c.instance).order_by(seals.c.instance).limit(1)
    found = connection.execute(query).scalar()
    while found is not None:
        yield found
        found = connection.execute(query.where(seals.c.instance > found)).scalar()


def head(connection: Connection, instance: str) -> Head:
    """Where this chain ends."""
    query = select(*(seals.c[name] for name in ("sequence", "link", "kind", "key_id", "last_id")))
    query = query.where(seals.c.instance == instance).order_by(seals.c.sequence.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return Head(instance) if row is None else Head(instance, *row)


def heads(connection: Connection) -> dict[str, Head]:
    """Where each chain ends."""
    return {instance: head(connection, instance) for instance in instances(connection)}


def page(connection: Connection, instance: str, after: Any, most: int) -> list[Seal]:
    """Some seals of a chain, in order."""
    query = f"SELECT {_COLUMNS} FROM seals WHERE instance = {{0}} AND sequence > {{0}} ORDER BY sequence LIMIT {most}"  # noqa: S608
    found = connection.exec_driver_sql(query.format(_mark(connection)), (instance, after)).all()
    return [
        Seal(*(digests.plain(value) if place == _MADE_AT else value for place, value in enumerate(row)))
        for row in found
    ]


# ── Adding ──────────────────────────────────────────────────────────────────────────────


def append(connection: Connection, keys: Keys, behind: Head, kind: str, *, last_id: int, content: bytes) -> Head:
    """Add a seal to the end of its chain, in the transaction that does what it tells of; gives the new end."""
    key_id, key = keys.newest
    made_at = datetime.now(UTC)
    seal = Seal(behind.instance, behind.sequence + 1, kind, values.rfc3339(made_at), key_id, last_id, content, None)
    link = seal.linked(key, behind.link)
    row = [*seal._replace(made_at=made_at, link=link)]
    for place, process in _to_database(connection.dialect):
        row[place] = process(row[place])
    marks = ", ".join([_mark(connection)] * len(row))
    connection.connection.cursor().execute(f"INSERT INTO seals ({_COLUMNS}) VALUES ({marks})", row)  # noqa: S608
    return Head(behind.instance, seal.sequence, link, kind, key_id, last_id)


def shown(heads_: Iterable[Head]) -> Mapping[str, tuple[int, str]]:
    """Ends of chains as JSON has them, by name."""
    return {each.instance: (each.sequence, each.link.hex()) for each in heads_}


@cache
def _to_database(dialect: Dialect) -> Any:
    return values.bound(seals.columns, dialect)


def _mark(connection: Connection) -> str:
    """What stands for a parameter."""
    return "?" if connection.dialect.name == "sqlite" else "%s"
