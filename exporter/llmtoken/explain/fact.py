"""What an explanation is made of: facts, each with its reason, in named steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that was found. `value` is ready for JSON; `None` where nothing was found."""

    name: str
    value: Any
    because: str = ""
    """Which rule, or which evidence, says so."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a reading, in the pipeline's order."""

    name: str
    facts: tuple[Fact, ...]
