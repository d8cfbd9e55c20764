"""Going along a chain and looking at each link, whatever somebody may have put into the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from llmtoken.audit.seals import chain, digests
from llmtoken.audit.seals.chain import Keys, Seal
from llmtoken.audit.seals.findings import Findings
from llmtoken.audit.seals.runs import Runs

_PAGE = 100
"""Seals that are read at once: each may have some 40 kB."""


@dataclass(slots=True)
class Walk:
    """One chain. What is wrong with it goes to `found`; the rest is known when `seals` has come to the end."""

    instance: str
    keys: Keys
    found: Findings
    noted: frozenset[str]
    """Ends of chains that somebody wrote down, as hexadecimal digits."""
    sequence: int = 0
    link: Any = bytes(digests.LENGTH)
    made_at: Any = None
    sealed: int = 0
    without_key: Runs = field(default_factory=Runs)
    """Places of seals that were made without a key."""
    first_with_key: int | None = None
    seen: set[str] = field(default_factory=set)
    """Those of `noted` that are in the chain."""

    def begin_at(self, anchor: tuple[int, str]) -> None:
        """Begin where retention has left the chain."""
        self.sequence, link = anchor
        with suppress(ValueError):  # else the first seal doesn't follow from it
            self.link = bytes.fromhex(link)
        self.seen |= {link} & self.noted

    def seals(self, connection: Connection) -> Iterator[tuple[Seal, bytes | None]]:
        """Each seal with the key that it was made with, if that is known, in order."""
        after: Any = -(2**63)
        while page := chain.page(connection, self.instance, after, _PAGE):
            after = page[-1].sequence
            for seal in page:
                yield seal, self._look(seal)

    def _look(self, seal: Seal) -> bytes | None:
        where = {"instance": self.instance, "sequence": seal.sequence}
        self.sealed += 1
        if seal.sequence != self.sequence + 1:
            self.found.add("seal_missing", where)
        key = self.keys.get(seal.key_id)
        if key is None:
            self.found.add("seal_of_unknown_key", where)
        elif seal.link != seal.linked(key, self.link):
            self.found.add("seal_broken", where)
        self._go_on(seal)
        return key

    def _go_on(self, seal: Seal) -> None:
        # We go on from what stands there, so that one broken link isn't told as many.
        self.sequence = seal.sequence if isinstance(seal.sequence, int) else self.sequence + 1
        self.link, self.made_at = seal.link, seal.made_at
        if not seal.key_id:
            self.without_key.update([(self.sequence, self.sequence)])
        elif self.first_with_key is None:
            self.first_with_key = self.sequence
        if self.noted and isinstance(seal.link, bytes):
            self.seen |= {seal.link.hex()} & self.noted
