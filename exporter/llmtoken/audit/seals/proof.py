"""Whether every call and body is as it was sealed, and every deletion and correction has its mark.

All is read of one moment, a few rows at a time: first the shared chain, then the collectors' chains side by side, each
call of a seal against its row; then whether each row has a seal. What is wrong is told and gone on from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from llmtoken.audit.seals import chain, digests, marks
from llmtoken.audit.seals.chain import SHARED, Keys, Seal
from llmtoken.audit.seals.findings import Finding, Findings
from llmtoken.audit.seals.marks import SENSELESS
from llmtoken.audit.seals.runs import Runs, runs_of
from llmtoken.audit.seals.sealing import SEALED
from llmtoken.audit.seals.told import FOREVER, Gap, Told
from llmtoken.audit.seals.walk import Walk

_AT_ONCE = 1000
"""Calls that are looked up with one statement."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and its end: `head` is what to note elsewhere. `instance` is empty in the chain of deletions."""

    instance: str
    seals: int
    sequence: int
    head: str
    made_at: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What was held against the seals, and what is wrong. `gaps` are calls that were stored while sealing was off."""

    chains: tuple[Chain, ...]
    keyed: bool
    calls: int
    deleted: int
    gaps: tuple[Gap, ...]
    findings: tuple[Finding, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(connection: Connection, keys: Keys, noted: Iterable[str]) -> Proof:
    """Look at everything, in a transaction that sees the database as of one moment."""
    with closing(Told()) as told:
        return _Look(connection, keys, frozenset(each.strip().lower() for each in noted), told).proof()


_Sealed = tuple[int, bytes, bytes, bytes | None]
"""A call's id, its digest, its bodies' digest, and the key; without the key nothing can be held against it."""

_Wrong = list[tuple[str, Mapping[str, Any]]]
"""Kinds of findings, and of what."""


class _Look:
    def __init__(self, connection: Connection, keys: Keys, noted: frozenset[str], told: Told) -> None:
        self._connection, self._keys, self._noted, self._told = connection, keys, noted, told
        self._found = Findings()
        self._sealed = Runs()
        self._calls = self._deleted = 0
        try:
            self._released = marks.released(connection)
        except SENSELESS:
            self._released = marks.Released()
        self._anchors = self._released.anchors

    def proof(self) -> Proof:
        names = list(chain.instances(self._connection))
        walks = [Walk(name, self._keys, self._found, self._noted) for name in names]
        for walk in walks:
            if walk.instance in self._anchors:
                walk.begin_at(self._anchors[walk.instance])
        for walk in walks:
            if walk.instance == SHARED:
                for seal, _ in walk.seals(self._connection):
                    self._take(seal)
        # Side by side by id, so that what is sealed by now is one run.
        sealed = merge(*(self._sealed_by(walk) for walk in walks if walk.instance != SHARED), key=lambda each: each[0])
        while batch := list(islice(sealed, _AT_ONCE)):
            self._hold(batch)
        self._told.still_off()
        if walks:
            self._look_for_unsealed()
        self._look_for_heads(walks)
        return Proof(
            chains=tuple(
                Chain(walk.instance, walk.sealed, walk.sequence, _hexadecimal(walk.link), str(walk.made_at))
                for walk in walks
            ),
            keyed=bool(self._keys),
            calls=self._calls,
            deleted=self._deleted,
            gaps=tuple(gap for gap in self._told.gaps if gap.calls or gap.told),
            findings=self._found.all(),
        )

    def _take(self, seal: Seal) -> None:
        try:
            self._told.take(seal)
        except SENSELESS:
            self._found.add("seal_unreadable", _where(seal))

    # ── Each seal has its rows ──────────────────────────────────────────────────────────

    def _sealed_by(self, walk: Walk) -> Iterator[_Sealed]:
        for seal, key in walk.seals(self._connection):
            if seal.kind != chain.CALLS:
                self._take(seal)
            elif not isinstance(seal.content, bytes) or len(seal.content) % SEALED.size:
                self._found.add("seal_unreadable", _where(seal))
            else:
                yield from ((*sealed, key) for sealed in SEALED.iter_unpack(seal.content))

    def _hold(self, batch: Sequence[_Sealed]) -> None:
        wanted: dict[int, _Sealed] = {}
        for each in batch:
            if each[0] in wanted or each[0] in self._sealed:
                self._found.add("call_sealed_twice", {"call_id": each[0]})
            wanted[each[0]] = each
        self._sealed.update(runs_of(wanted))
        self._calls += sum(key is not None for *_, key in wanted.values())
        for finding in _tolerantly(partial(self._compared, wanted), sorted(wanted)):
            self._found.add(*finding)

    def _compared(self, wanted: Mapping[int, _Sealed], ids: Sequence[int]) -> _Wrong:
        """What is wrong with these calls."""
        told = self._told
        missing = dict.fromkeys(ids)
        found: _Wrong = []
        for row in digests.rows(self._connection, ids):
            call_id, request_id = row[0], row[1]
            del missing[call_id]
            where = {"call_id": call_id, "request_id": request_id}
            found += [(kind, where) for kind in self._wrong_with(row, wanted[call_id])]
        undue = [call_id for call_id in missing if call_id not in told.deleted_calls]
        self._deleted += len(missing) - len(undue)
        return found + [("call_missing", {"call_id": call_id}) for call_id in undue]

    def _wrong_with(self, row: Sequence[Any], sealed: _Sealed) -> Iterator[str]:
        call_id, as_call, as_bodies, key = sealed
        if call_id in self._told.deleted_calls:
            yield "call_returned"
        if key is None:
            return
        if not self._is_call(row, key, as_call):
            yield "call_changed"
        deleted = call_id in self._told.deleted_bodies
        now = digests.bodies_of(key, row)
        if now == digests.NO_BODIES:
            if not deleted and as_bodies != now:
                yield "bodies_missing"
        elif deleted:
            yield "bodies_returned"
        elif now != as_bodies:
            yield "bodies_changed"

    def _is_call(self, row: Sequence[Any], key: bytes, sealed: bytes) -> bool:
        found = digests.values_of(row)
        first = self._told.as_first_stored(row[0], found) if self._told.changed else found
        return first is not None and digests.of_values(key, first) == sealed

    # ── Each row has its seal ───────────────────────────────────────────────────────────

    def _look_for_unsealed(self) -> None:
        everything = digests.streamed(self._connection, "SELECT id FROM calls")
        unsealed = (row[0] for row in everything if row[0] not in self._sealed)
        odd: list[int] = []
        for call_id in unsealed:
            # Those from before there were seals are the most by far, and anybody's.
            gap = next((gap for gap in self._told.gaps if gap.instance is None and gap.holds(call_id, None)), None)
            if gap is None:
                odd.append(call_id)
            else:
                gap.calls += 1
        odd.sort()
        for start in range(0, len(odd), _AT_ONCE):
            for finding in _tolerantly(self._unexplained, odd[start : start + _AT_ONCE]):
                self._found.add(*finding)
        for gap in self._told.gaps:
            if gap.told is not None and gap.calls > gap.told:
                self._found.add("call_unsealed", {"ids": [gap.after + 1, gap.until]}, gap.calls - gap.told)
        orphans = "SELECT call_id FROM bodies WHERE NOT EXISTS (SELECT 1 FROM calls WHERE calls.id = bodies.call_id)"
        for row in digests.streamed(self._connection, orphans):
            self._found.add("bodies_without_call", {"call_id": row[0]})

    def _unexplained(self, ids: Sequence[int]) -> _Wrong:
        """Which of these calls were not stored while the collector that counts them was off."""
        query = (
            "SELECT calls.id, request_id, instance FROM calls LEFT JOIN series ON series.id = series_id WHERE calls.id"
        )
        found: _Wrong = []
        for call_id, request_id, instance in self._connection.exec_driver_sql(f"{query} {digests.among(ids)}").all():
            gap = next((gap for gap in self._told.gaps if gap.instance and gap.holds(call_id, instance)), None)
            if gap is None:
                found.append(("call_unsealed", {"call_id": call_id, "request_id": request_id}))
            else:
                gap.calls += 1
        return found

    # ── Each end of a chain that was seen is in it ──────────────────────────────────────

    def _look_for_heads(self, walks: Sequence[Walk]) -> None:
        for link in self._noted - {link for walk in walks for link in walk.seen}:
            self._found.add("head_missing", {"head": link})
        for instance, sequence, link in self._told.heads:
            if sequence > self._anchors.get(instance, (0, ""))[0]:
                there = chain.page(self._connection, instance, sequence - 1, 1)
                if not there or _hexadecimal(there[0].link) != link:
                    self._found.add("head_missing", {"instance": instance, "sequence": sequence, "head": link})
        for instance in self._anchors.keys() - {walk.instance for walk in walks}:
            # A chain may be shortened, but its end stays.
            self._found.add("seal_missing", {"instance": instance, "sequence": self._anchors[instance][0] + 1})
        if self._keys:
            self._look_for_keyless(walks)

    def _look_for_keyless(self, walks: Sequence[Walk]) -> None:
        """Seals without a key, of after the first with one: anybody can make those."""
        accepted = dict(self._released.introduced)
        first = {walk.instance: walk.first_with_key for walk in walks if walk.first_with_key is not None}
        for until in self._told.introductions:
            # What was written behind a seal with a key introduced none.
            if not accepted and all(first.get(name, FOREVER) > sequence for name, sequence in until.items()):
                accepted = dict(until)
        for walk in walks:
            for start, end in walk.without_key:
                start = max(start, accepted.get(walk.instance, 0) + 1)  # noqa: PLW2901
                if start <= end:
                    where = {"instance": walk.instance, "sequence": start}
                    self._found.add("seal_without_key", where, end - start + 1)


def _tolerantly(look: Callable[[Sequence[int]], _Wrong], ids: Sequence[int]) -> _Wrong:
    """What `look` finds; where a driver can't even read a row, that is what is wrong with it."""
    try:
        return look(ids)
    except DBAPIError:
        if len(ids) == 1:
            return [("call_changed", {"call_id": ids[0]})]
    half = len(ids) // 2
    return _tolerantly(look, ids[:half]) + _tolerantly(look, ids[half:])


def _where(seal: Seal) -> Mapping[str, Any]:
    return {"instance": seal.instance, "sequence": seal.sequence}


def _hexadecimal(link: Any) -> str:
    return link.hex() if isinstance(link, bytes) else str(link)
