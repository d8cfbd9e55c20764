"""What is deleted or corrected on purpose leaves a mark in the shared chain, in the same transaction.

A deletion's mark has the ids, a correction's what stood there before and since: so the digest of the call as it was
first stored still holds, and nothing else could be changed along. Where nothing was ever sealed nothing is written.
When all calls of the oldest seals are deleted, those seals go too, and a mark says where the chains begin now.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select

from llmtoken.audit import replies
from llmtoken.audit.prunings import What
from llmtoken.audit.schema import calls
from llmtoken.audit.seals import chain
from llmtoken.audit.seals.chain import SHARED, Head, Keys, Seal, seals
from llmtoken.audit.seals.runs import Run, Runs
from llmtoken.audit.seals.sealing import SEALED
from llmtoken.audit.seals.told import FOREVER, Began, Ids, introduced
from llmtoken.errors import tell

Change = tuple[int, Sequence[Any], Sequence[Any]]
"""A call's id, and what stood in the columns before and since, as SQLite holds it."""

log = logging.getLogger(__name__)

SENSELESS = (msgspec.MsgspecError, struct.error, ValueError, TypeError, OverflowError)
"""What reading a seal comes to that somebody else has made."""

_AT_ONCE = 200
"""Seals of a chain that go in one transaction."""


class Marks:
    """Leaves marks. On PostgreSQL only within a transaction that has the exclusive turn (`replies.take_turns`)."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def require_key(self, connection: Connection) -> None:
        """Raise `DatabaseError` when marks are wanted that these keys can't make."""
        self._keys.require(chain.heads(connection).values())

    def deleted(self, connection: Connection, what: What, rule: str, ids: Sequence[Run]) -> None:
        """These calls are deleted with their bodies, or only their bodies."""
        kind = chain.DELETED_CALLS if what == "calls" else chain.DELETED_BODIES
        self._mark(connection, kind, ids[-1][1], {"rule": rule, "ids": ids})

    def changed(self, connection: Connection, columns: Sequence[str], changes: Sequence[Change]) -> None:
        """These columns of these calls are corrected."""
        told = {"columns": columns, "calls": changes}
        self._mark(connection, chain.CHANGED, max(call_id for call_id, _, _ in changes), told)

    def release(self, connection: Connection) -> bool:
        """Delete some seals of which no call is left, in a transaction of its own; whether there may be more.

        Only seals whose every call was deleted with a mark: one that somebody else took out stays missing.
        """
        replies.take_turns(connection, fetching=True)
        try:
            return self._release(connection)
        except SENSELESS as error:
            tell(log, error, "The oldest seals stay: `llmtoken audit verify` says what is wrong with them")
            return False

    def _release(self, connection: Connection) -> bool:
        told = released(connection)
        lowest = needed = connection.execute(select(func.min(calls.c.id))).scalar() or FOREVER
        heads = chain.heads(connection)
        deleted = _deleted(connection)
        found = {}
        for head in (head for head in heads.values() if head.instance != SHARED):
            gone = list(self._oldest(connection, head, told, lowest, deleted))
            if gone:
                found[head.instance] = gone
            # What says that calls were deleted stays for as long as a seal tells of them.
            needed = min(needed, _first_call(connection, head.instance, after=gone[-1].sequence if gone else 0))
        gone = list(self._oldest(connection, heads.get(SHARED, Head(SHARED)), told, needed, deleted))
        if any(seal.kind != chain.RELEASED for seal in gone):
            found[SHARED] = gone
        if not found:
            return False
        told.anchors |= {name: (gone[-1].sequence, gone[-1].link.hex()) for name, gone in found.items()}
        told.introduced = told.introduced or _introduced(seal for gone in found.values() for seal in gone)
        self._mark(connection, chain.RELEASED, 0, msgspec.structs.asdict(told))
        for name, gone in found.items():
            mine = (seals.c.instance == name, seals.c.sequence <= gone[-1].sequence)
            connection.execute(delete(seals).where(*mine))
        return True

    def _oldest(self, connection: Connection, head: Head, told: Released, below: int, deleted: Runs) -> Iterator[Seal]:
        """The first seals of a chain, but for its end, of which no call is left that wasn't deleted with a mark."""
        for seal in self._right(chain.page(connection, head.instance, 0, _AT_ONCE), told):
            if seal.sequence >= head.sequence or seal.last_id >= below:
                return
            if seal.kind == chain.CALLS and not all(call_id in deleted for call_id in _ids(seal.content)):
                return
            yield seal

    def _right(self, found: Iterable[Seal], told: Released) -> Iterator[Seal]:
        """The first seals of a chain, up to one that isn't as it must be: that one is evidence."""
        sequence, before, keyed = 0, Head("").link, False
        for seal in found:
            if not sequence:
                sequence, link = told.anchors.get(seal.instance, (0, before.hex()))
                before = bytes.fromhex(link)
                keyed = bool(told.introduced) and sequence >= told.introduced.get(seal.instance, 0)
            sequence += 1
            key = self._keys.get(seal.key_id)
            if seal.sequence != sequence or key is None or seal.link != seal.linked(key, before):
                return
            if keyed and not seal.key_id:
                return
            yield seal
            before, keyed = seal.link, keyed or bool(seal.key_id)

    def _mark(self, connection: Connection, kind: str, last_id: int, told: Mapping[str, Any]) -> None:
        heads = chain.heads(connection)
        if heads:
            self._keys.require(heads.values())
            behind = heads.get(SHARED, Head(SHARED))
            chain.append(connection, self._keys, behind, kind, last_id=last_id, content=msgspec.json.encode(told))


class Released(msgspec.Struct):
    """Of chains that were shortened the last seal that is gone, its place and its link.

    And where chains ended when the first key was used, once the seal that said so is gone.
    """

    anchors: dict[str, tuple[int, str]] = {}
    introduced: dict[str, int] = {}


def released(connection: Connection) -> Released:
    """As the newest mark of it says."""
    query = select(seals.c.content).where(seals.c.instance == SHARED, seals.c.kind == chain.RELEASED)
    content = connection.execute(query.order_by(seals.c.sequence.desc()).limit(1)).scalar()
    return Released() if content is None else msgspec.json.decode(content, type=Released)


def _introduced(gone: Iterable[Seal]) -> dict[str, int]:
    begun = ((seal, msgspec.json.decode(seal.content, type=Began)) for seal in gone if seal.kind == chain.BEGAN)
    return next((introduced(seal, began) for seal, began in begun if began.introduces_key), {})


def _deleted(connection: Connection) -> Runs:
    query = select(seals.c.content).where(seals.c.instance == SHARED, seals.c.kind == chain.DELETED_CALLS)
    found = Runs()
    for content in connection.execute(query).scalars():
        found.update(msgspec.json.decode(content, type=Ids).ids)
    return found


def _first_call(connection: Connection, instance: str, *, after: int) -> int:
    """The lowest id that this chain tells of behind a place."""
    query = select(seals.c.content).where(seals.c.instance == instance, seals.c.sequence > after)
    content = connection.execute(query.where(seals.c.kind == chain.CALLS).order_by(seals.c.sequence).limit(1)).scalar()
    return FOREVER if content is None else min(_ids(content))


def _ids(content: bytes) -> Iterator[int]:
    return (call_id for call_id, *_ in SEALED.iter_unpack(content))
