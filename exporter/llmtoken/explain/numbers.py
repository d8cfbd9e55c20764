"""Numbers that remember where in the reply they stood, through every sum that a rule makes of them.

`marked` gives the same exchange with such numbers in it. The rules that read it don't notice:
a marked number is equal to a plain one. Where a rule insists on a plain number (indices, codes),
marking would change what is read; such fields are left alone, and whoever compares both
readings notices the rest. Must not know any API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from msgspec import structs

from llmtoken.exchange import Event, Exchange

_PLAIN = re.compile(r"(?:index|code|status|reason)$", re.IGNORECASE)
"""Fields whose numbers aren't counts."""

_COUNTS = re.compile(r"usage|token|billed|timings", re.IGNORECASE)
"""How fields are called that may hold counts, whoever made the format."""

DEEPEST = 64
"""Levels of nesting that are looked at; no usage stands deeper."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in a reply: in the whole of it (`event` is `None`) or in an event, counted from 1."""

    event: int | None = None
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        path = ".".join(self.path).replace(".[", "[")
        return path if self.event is None else f"event {self.event}: {path}"

    def __truediv__(self, name: str) -> Place:
        return Place(self.event, (*self.path, name))

    @property
    def parent(self) -> Place:
        """The object that the value is in."""
        return Place(self.event, self.path[:-1])


@dataclass(frozen=True, slots=True)
class Term:
    """A number of a sum; `place` is `None` for one that stands in no reply."""

    value: int
    place: Place | None = None
    minus: bool = False

    def __str__(self) -> str:
        return f"{self.value:,}" + (f" ({self.place})" if self.place else "")


class Marked(int):
    """A number with the terms that it is the sum of."""

    terms: tuple[Term, ...]

    @classmethod
    def at(cls, value: int, place: Place) -> Self:
        """A number as it stands in the reply."""
        return cls._of(value, (Term(value, place),))

    @classmethod
    def _of(cls, value: int, terms: tuple[Term, ...]) -> Self:
        number = cls(value)
        number.terms = terms
        return number

    def __add__(self, other: int) -> Self:
        return self._of(int(self) + int(other), self.terms + _terms(other))

    def __radd__(self, other: int) -> Self:
        return self._of(int(self) + int(other), _terms(other) + self.terms)

    def __sub__(self, other: int) -> Self:
        return self._of(int(self) - int(other), self.terms + _negative(_terms(other)))

    def __rsub__(self, other: int) -> Self:
        return self._of(int(other) - int(self), _terms(other) + _negative(self.terms))


def _terms(number: int) -> tuple[Term, ...]:
    if isinstance(number, Marked):
        return number.terms
    return (Term(int(number)),) if number else ()


def _negative(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    return tuple(replace(term, minus=not term.minus) for term in terms)


def terms_of(number: int | None) -> tuple[Term, ...]:
    """What a number is the sum of; nothing when that isn't known."""
    return number.terms if isinstance(number, Marked) else ()


def marked(exchange: Exchange) -> Exchange:
    """The same exchange, the numbers of its reply marked."""
    body = exchange.response
    events = tuple(
        Event(_marked(event.data, Place(number)), event.name, event.end) for number, event in enumerate(body.events, 1)
    )
    value = _marked(body.json, Place()) if body.framing == "json" else body.json
    return structs.replace(exchange, response=structs.replace(body, events=events, json=value))


def _marked(value: Any, place: Place) -> Any:
    if len(place.path) > DEEPEST:
        return value
    if isinstance(value, dict):
        return {name: item if _PLAIN.search(name) else _marked(item, place / name) for name, item in value.items()}
    if isinstance(value, list):
        # Numbers that stand in a list by themselves are tokens or embeddings, never counts.
        return [
            _marked(item, place / f"[{number}]") if isinstance(item, dict | list) else item
            for number, item in enumerate(value)
        ]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return Marked.at(value, place) if type(value) is int else value


def objects_with_counts(exchange: Exchange) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The objects of a reply that may be a usage by the names of their fields, read or not."""
    body = exchange.response
    if body.framing == "json":
        yield from _with_counts(body.json, Place(), named=False)
    for number, event in enumerate(body.events, 1):
        yield from _with_counts(event.data, Place(number), named=False)


def _with_counts(value: Any, place: Place, *, named: bool) -> Iterator[tuple[Place, dict[str, Any]]]:
    if len(place.path) > DEEPEST:
        return
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _with_counts(item, place / f"[{number}]", named=False)
    if not isinstance(value, dict):
        return
    if any(_is_count(item) and (named or _COUNTS.search(name)) for name, item in value.items()):
        yield place, value
        return
    for name, item in value.items():
        yield from _with_counts(item, place / name, named=_COUNTS.search(name) is not None)


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
