"""What a collector seals: the calls of each commit, and since when it does so.

Where sealing begins, ends and begins again, a seal says so, with how many calls were stored without: else one could
be put in and called a gap. Must not know how calls are written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from llmtoken.audit import replies
from llmtoken.audit.counters import series
from llmtoken.audit.drafts import Draft
from llmtoken.audit.schema import calls
from llmtoken.audit.seals import chain, digests
from llmtoken.audit.seals.chain import Head, Keys

log = logging.getLogger(__name__)

SEALED = Struct(f">q{digests.LENGTH}s{digests.LENGTH}s")
"""A call in a seal: its id, its digest, that of its bodies."""

_TELL_EVERY = 3600.0
"""Seconds between two log lines with the end of the chain."""


class Sealer:
    """Adds to the chain of one collector; does nothing where sealing is off."""

    def __init__(self, instance: str, keys: Keys, *, on: bool) -> None:
        self._instance, self._keys, self._on = instance, keys, on
        self._head = Head(instance)
        self._told_at = float("-inf")

    def know(self, connection: Connection) -> None:
        """Have the end of the chain as the database has it."""
        if self._on:
            self._head = chain.head(connection, self._instance)

    def seal(self, connection: Connection, drafts: Iterable[Draft]) -> None:
        """Seal those calls that were just inserted, and their bodies, in the transaction that stores them."""
        if not self._on:
            return
        key = self._keys.newest[1]
        sealed = {}
        for draft in drafts:
            call_id, request, response = draft.bodies()
            if call_id is None:
                continue
            bodies = digests.of_bodies(key, call_id, request, response) if draft.has_bodies() else digests.NO_BODIES
            sealed[call_id] = SEALED.pack(call_id, digests.of_row(key, call_id, draft.row()), bodies)
        if sealed:
            last, content = max(sealed), b"".join(sealed.values())
            behind = self._head
            self._head = chain.append(connection, self._keys, behind, chain.CALLS, last_id=last, content=content)

    def committed(self) -> None:
        """The transaction is committed. Now and then the log says where the chain ends: there it is out of reach."""
        now = time.monotonic()
        if self._on and now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            self.tell()

    def tell(self) -> None:
        """Say where the chain ends."""
        if self._on and self._head.sequence:
            log.info("Seal %d of %s: %s", self._head.sequence, self._instance, self._head.link.hex())


def begin(connection: Connection, instance: str, keys: Keys, *, on: bool) -> None:
    """Note that this collector seals from now on, or no longer. Writes nothing where nothing was ever sealed.

    Raises `DatabaseError` when there are seals with a key that isn't given: without it nobody can say so.
    """
    if not on and not chain.are_there(connection):
        return
    # Nobody stores calls meanwhile, so that it is certain which are from before.
    replies.take_turns(connection, fetching=True)
    heads = chain.heads(connection)
    keys.require(heads.values())
    mine = heads.pop(instance, Head(instance))
    last = connection.execute(select(func.max(calls.c.id))).scalar() or 0
    if on:
        told = {
            "unsealed": _unsealed(connection, mine, first=not heads),
            "heads": chain.shown(heads.values()),
            # From here on whatever has no key is somebody else's.
            "introduces_key": bool(keys) and not any(head.key_id for head in (mine, *heads.values())),
        }
        chain.append(connection, keys, mine, chain.BEGAN, last_id=last, content=msgspec.json.encode(told))
    elif mine.kind != chain.ENDED:
        chain.append(connection, keys, mine, chain.ENDED, last_id=last, content=b"{}")


def _unsealed(connection: Connection, mine: Head, *, first: bool) -> Mapping[str, Any] | None:
    """The calls that were stored without a seal until now: behind which id, how many, and whether anybody's."""
    if mine.sequence and mine.kind != chain.ENDED:
        return None
    after = mine.last_id
    everybody = first and not mine.sequence
    query = select(func.count()).select_from(calls).where(calls.c.id > after)
    if not everybody:
        counted = connection.execute(select(series.c.id).where(series.c.instance == mine.instance)).scalars().all()
        if not counted:  # it was never here: nobody need look through all calls for it
            return None
        query = query.where(calls.c.series_id.in_(counted))
    return {"after": after, "calls": connection.execute(query).scalar_one(), "everybody": everybody}
