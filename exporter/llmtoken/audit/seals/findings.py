"""What a look at the seals found, counted by kind, with the first few of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = {
    "call_changed": "calls are not as they were sealed",
    "call_missing": "sealed calls are gone, and no mark says that they were deleted",
    "call_returned": "calls are there that a mark says were deleted",
    "call_unsealed": "calls have no seal: somebody put them in",
    "call_sealed_twice": "calls are sealed twice",
    "bodies_changed": "bodies are not as they were sealed",
    "bodies_missing": "sealed bodies are gone, and no mark says that they were deleted",
    "bodies_returned": "bodies are there that a mark says were deleted",
    "bodies_without_call": "bodies belong to no call",
    "seal_broken": "seals don't follow from what they say and the one before",
    "seal_missing": "seals are missing before these",
    "seal_unreadable": "seals or marks say nothing that makes sense",
    "seal_of_unknown_key": "seals were made with a key that isn't given",
    "seal_without_key": "seals were made without a key, though there was one by then",
    "head_missing": "noted ends of a chain are in none: it was cut off there, or made anew",
}
"""What each kind means."""

_FIRST = 10
"""How many of a kind are named."""


@dataclass(slots=True)
class Finding:
    """Something that is wrong: how often, and where first."""

    kind: str
    meaning: str
    count: int = 0
    first: list[Mapping[str, Any]] = field(default_factory=list)


class Findings:
    """All that is wrong, so far."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(self, kind: str, where: Mapping[str, Any], count: int = 1) -> None:
        """Something more is wrong."""
        finding = self._found.setdefault(kind, Finding(kind, KINDS[kind]))
        finding.count += count
        if len(finding.first) < _FIRST:
            finding.first.append(where)

    def all(self) -> tuple[Finding, ...]:
        """By kind, in the order of `KINDS`."""
        return tuple(self._found[kind] for kind in KINDS if kind in self._found)
