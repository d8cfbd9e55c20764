"""Tolerant getters: the wire is trusted for nothing, so every value is asked what it is.

A wrong type reads as "not said" (`None`, or an empty mapping or list), never as an error
and never as 0. Must not know any API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

LARGEST = 2**53
"""No count of tokens is larger; beyond it a number is damage, and SQL and JSON lose digits."""

_NOTHING: Mapping[str, Any] = {}

_NEXT_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def integer(value: Any) -> int | None:
    """A count: 12, 12.0 or "12". Anything else, negative numbers included, is `None`.

    A number of a class of its own is passed on as it is: `llmtoken explain` follows counts by such numbers.
    """
    kind = type(value)
    if kind is int:
        return value if 0 <= value <= LARGEST else None
    if kind is float:
        return int(value) if value.is_integer() and 0 <= value <= LARGEST else None
    if kind is str and value.isascii() and value.isdigit() and len(value) <= len(str(LARGEST)):
        return integer(int(value))
    return value if isinstance(value, int) and kind is not bool and 0 <= value <= LARGEST else None


def text(value: Any) -> str | None:
    """A string that says something; an empty one is `None`."""
    return value if type(value) is str and value else None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if type(value) is dict else _NOTHING


def items(value: Any) -> list[Any]:
    """An array, or an empty one."""
    return value if type(value) is list else []


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects of an array; what else is in it is left out."""
    return [item for item in value if type(item) is dict] if type(value) is list else []


def first_integer(source: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """The first of these fields that holds a count."""
    for name in names:
        if name in source:
            said = source[name]
            if type(said) is int and 0 <= said <= LARGEST:
                return said  # as nearly always; a call less for each of a usage's many counts
            if (found := integer(said)) is not None:
                return found
    return None


def first_mapping(source: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    """The first of these fields that holds an object with something in it."""
    for name in names:
        if name in source and (found := mapping(source[name])):
            return found
    return _NOTHING


def agreed(said: Iterable[str | None]) -> str | None:
    """What all say who say anything; `None` when they differ."""
    found = set(said) - {None}
    return found.pop() if len(found) == 1 else None


def total(*counts: int | None) -> int | None:
    """The sum of what is known; `None` when nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def underscored(value: Any, depth: int = 6) -> Any:
    """A value with the names of its objects in OpenAI's spelling: `promptTokens`, `PromptTokens` → `prompt_tokens`."""
    if type(value) is list:
        return [underscored(item, depth) for item in value]
    if type(value) is dict and depth:
        return {_NEXT_WORD.sub("_", name).lower(): underscored(item, depth - 1) for name, item in value.items()}
    return value
