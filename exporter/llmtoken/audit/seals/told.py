"""What seals say beside digests, taken together: what was deleted, corrected, and stored without a seal."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from llmtoken.audit.seals import chain, digests
from llmtoken.audit.seals.chain import SHARED, Seal
from llmtoken.audit.seals.runs import Run, Runs

FOREVER = 2**63 - 1


_Int = Annotated[int, msgspec.Meta(ge=-FOREVER, le=FOREVER)]


class Ids(msgspec.Struct):
    """What a mark of a deletion says."""

    ids: list[Run]


class _Changes(msgspec.Struct):
    columns: list[str]
    calls: list[tuple[int, list[Any], list[Any]]]


class _Unsealed(msgspec.Struct):
    after: _Int
    calls: _Int
    everybody: bool


class Began(msgspec.Struct):
    """What a seal says with which sealing begins."""

    unsealed: _Unsealed | None
    heads: dict[str, tuple[_Int, str]]
    introduces_key: bool


def introduced(seal: Seal, began: Began) -> dict[str, int]:
    """Where chains ended when the first key was used: before that they needn't have one."""
    return {**{instance: sequence for instance, (sequence, _) in began.heads.items()}, seal.instance: seal.sequence - 1}


@dataclass(slots=True)
class Gap:
    """Calls that were stored without a seal, because sealing was off: those of one collector, or of all.

    Their ids are behind `after`, up to `until`. `told` is how many there were when sealing went on again, `calls` how
    many are there now, `ended_at` when that was; `None`: it is off until now.
    """

    instance: str | None
    after: int
    until: int
    told: int | None
    ended_at: str | None
    calls: int = 0

    def holds(self, call_id: int, instance: str | None) -> bool:
        """Whether a call is one of them."""
        return self.after < call_id <= self.until and self.instance in (None, instance)


_CHANGE = """
    INSERT INTO changes VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET now = excluded.now, was = CASE WHEN now = excluded.was THEN was END
"""
"""Where a correction didn't find what the last one left, somebody else was there between."""


class Told:
    """Collects it. What was corrected may be millions of calls: it is kept in a file that has no name."""

    def __init__(self) -> None:
        self.deleted_calls, self.deleted_bodies = Runs(), Runs()
        self.gaps: list[Gap] = []
        self.heads: list[tuple[str, int, str]] = []
        """Ends of other chains that were seen when a collector began."""
        self.introductions: list[Mapping[str, int]] = []
        """Where chains ended when somebody began to seal with a key: one time, but for what others put there."""
        self.changed = False
        self._off: dict[str, int] = {}
        self._changes = sqlite3.connect("", isolation_level=None)
        self._changes.execute("CREATE TABLE changes (id INT, name TEXT, was BLOB, now BLOB, PRIMARY KEY (id, name))")
        self._changes.execute("BEGIN")

    def close(self) -> None:
        """Throw the file away."""
        self._changes.close()

    def take(self, seal: Seal) -> None:
        """Take what a seal says. Raises one of `SENSELESS` where that makes no sense."""
        if seal.kind == chain.BEGAN:
            self._take_began(seal, msgspec.json.decode(seal.content, type=Began))
        elif seal.kind == chain.ENDED:
            self._off[seal.instance] = int(seal.last_id)
        elif seal.instance != SHARED:
            raise ValueError(seal.kind)
        elif seal.kind == chain.DELETED_CALLS:
            self.deleted_calls.update(msgspec.json.decode(seal.content, type=Ids).ids)
        elif seal.kind == chain.DELETED_BODIES:
            self.deleted_bodies.update(msgspec.json.decode(seal.content, type=Ids).ids)
        elif seal.kind == chain.CHANGED:
            self._take_changes(msgspec.json.decode(seal.content, type=_Changes))
        elif seal.kind != chain.RELEASED:
            raise ValueError(seal.kind)

    def still_off(self) -> None:
        """All seals were taken: who has ended and not begun again seals nothing until now."""
        self.gaps += [Gap(instance, after, FOREVER, None, None) for instance, after in self._off.items()]

    def _take_began(self, seal: Seal, began: Began) -> None:
        self._off.pop(seal.instance, None)
        for instance, (sequence, link) in began.heads.items():
            self.heads.append((instance, sequence, link))
        if began.introduces_key and seal.key_id:
            self.introductions.append(introduced(seal, began))
        if (gap := began.unsealed) is not None:
            whose = None if gap.everybody else seal.instance
            self.gaps.append(Gap(whose, gap.after, int(seal.last_id), gap.calls, seal.made_at))

    def _take_changes(self, mark: _Changes) -> None:
        if not set(mark.columns) <= set(digests.NAMES):
            raise ValueError(mark.columns)
        self.changed = True
        self._changes.executemany(
            _CHANGE,
            [
                (call_id, name, msgspec.msgpack.encode(old), msgspec.msgpack.encode(new))
                for call_id, before, since in mark.calls
                for name, old, new in zip(mark.columns, before, since, strict=True)
            ],
        )

    def as_first_stored(self, call_id: int, found: Sequence[Any]) -> list[Any] | None:
        """A call's columns as they were before they were corrected; `None` where they aren't as that left them."""
        first = list(found)
        rows = self._changes.execute("SELECT name, was, now FROM changes WHERE id = ?", (call_id,))
        for name, was, now in rows.fetchall():
            place = digests.NAMES.index(name)
            if was is None or msgspec.msgpack.encode(found[place]) != now:
                return None
            first[place] = msgspec.msgpack.decode(was)
        return first
