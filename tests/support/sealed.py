"""Sealed databases, and what a look at them finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llmtoken import audit
from llmtoken.audit import Audit, Proof

KEY = "a secret of the tests, long enough"

KEYS = ((), (KEY,))
"""Without a key, and with one."""


@contextmanager
def sealed(database: str, keys: Sequence[str] = (), **options: Any) -> Iterator[Audit]:
    """A collector that seals."""
    with audit.open(database, seals=True, seal_keys=keys, **options) as store:
        yield store


def verified(database: str, keys: Sequence[str] = (), noted: Sequence[str] = ()) -> Proof:
    """What a reader finds, as `llmtoken audit verify` does."""
    with audit.open_read_only(database) as reader:
        return reader.verify_seals(keys, noted)


def found(database: str, keys: Sequence[str] = (), noted: Sequence[str] = ()) -> dict[str, int]:
    """How many of each kind are wrong."""
    return {finding.kind: finding.count for finding in verified(database, keys, noted).findings}


def head(database: str, instance: str = "collector", keys: Sequence[str] = ()) -> str:
    """The end of a chain, to be noted."""
    return next(chain.head for chain in verified(database, keys).chains if chain.instance == instance)
