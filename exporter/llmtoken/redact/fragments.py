"""What belongs together although it came in pieces: the deltas of a stream, the tokens of a list.

Strings that stand at the same place of a body's events, or of one list's elements, are put
together in their order: the *slots*. A place is the names on the way there, and where
several answers come at once, their index. Positions in lists don't count, because it is along
lists and events that texts are cut. Must not know rules, nor what the names mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from llmtoken.exchange import Framing

MAX_DEPTH = 64
"""Levels of objects and arrays that are looked into for pieces; deeper text is searched as it stands."""

_INDEX = "index"
_EVENT_INDEXES = ("output_index", "content_index", "contentBlockIndex")
"""What tells apart answers that come at once: in any object, and in an event itself."""

_ALTERNATIVES = "top_logprobs"
"""The list whose elements are not one after the other but instead of each other."""


class Leaf(NamedTuple):
    """A string, by where its characters stand in the text."""

    start: int
    end: int


class _Slot:
    __slots__ = ("below", "texts")

    def __init__(self) -> None:
        self.texts: list[Any] = []
        self.below: dict[Any, _Slot] = {}


def slots(values: Iterable[Any], leaf: type = str, depth: int = MAX_DEPTH) -> list[list[Any]]:
    """The strings of every place where there is more than one, in order. `leaf` is what strings are made of."""
    root = _Slot()
    for value in values:
        slot = root
        if value.__class__ is dict:
            for name in _EVENT_INDEXES:
                if name in value:
                    slot = _below(slot, (name, _comparable(value[name])))
        _add(value, slot, leaf, depth)
    found: list[list[Any]] = []
    _several(root, found)
    return found


def slots_of_one(value: Any) -> list[list[Any]]:
    """The same of one value, sooner: only along a list with several elements can a place have more than one string."""
    found: list[list[Any]] = []
    _along_lists(value, MAX_DEPTH, found)
    return found


def _along_lists(value: Any, depth: int, found: list[list[Any]]) -> None:
    """Add the slots of the outermost such lists. Alternatives are none, but may have some within."""
    if value.__class__ is dict:
        for name, entry in value.items():
            kind = entry.__class__
            if (kind is dict or kind is list) and entry and depth:
                if kind is list and name == _ALTERNATIVES:
                    for alternative in entry:
                        _along_lists(alternative, depth - 1, found)
                else:
                    _along_lists(entry, depth - 1, found)
    elif value.__class__ is list:
        if len(value) > 1:
            found += slots((value,), depth=depth)
        elif value and depth:
            _along_lists(value[0], depth - 1, found)


def _add(value: Any, slot: _Slot, leaf: type, depth: int) -> None:  # noqa: C901, PLR0912 - one, for speed
    kind = value.__class__
    if kind is dict:
        if value.get(_INDEX):
            slot = _below(slot, _comparable(value[_INDEX]))
        below = slot.below
        for name, entry in value.items():
            kind = entry.__class__
            if kind is leaf:
                inner = below.get(name)
                if inner is None:
                    inner = below[name] = _Slot()
                inner.texts.append(entry)
            elif (kind is dict or kind is list) and entry and depth:
                inner = below.get(name)
                if inner is None:
                    inner = below[name] = _Slot()
                if name == _ALTERNATIVES and kind is list:
                    for rank, alternative in enumerate(entry):
                        _add(alternative, _below(inner, rank), leaf, depth - 1)
                else:
                    _add(entry, inner, leaf, depth - 1)
    elif kind is list:
        for entry in value:
            kind = entry.__class__
            if kind is leaf:
                slot.texts.append(entry)
            elif (kind is dict or kind is list) and entry and depth:
                _add(entry, slot, leaf, depth - 1)
    elif kind is leaf:
        slot.texts.append(value)


def _comparable(value: Any) -> Any:
    return value if value.__class__ is int else None


def _below(slot: _Slot, name: Any) -> _Slot:
    return slot.below.setdefault(name, _Slot())


def _several(slot: _Slot, found: list[list[Any]]) -> None:
    if len(slot.texts) > 1:
        found.append(slot.texts)
    for inner in slot.below.values():
        _several(inner, found)


# ── Where strings stand ─────────────────────────────────────────────────────────────────

_TOKEN = re.compile(rb'"((?:[^"\\\r\n]|\\.)*+)"?(\s*:)?|([{}\[\]])|([0-9]+)(?![^\s,}\]])')
"""A string, which is a name where a colon follows; a bracket; a whole number. Nothing else matters."""
_DATA = re.compile(rb"^data: ?([^\r\n]*)", re.MULTILINE)


def located(text: bytes, framing: Framing) -> list[Any]:
    """The values of a body with a `Leaf` for every string, as much of it as can be made out.

    Never fails: what isn't JSON is passed over, what is cut ends where it ends. Numbers are there where they
    may be an index.
    """
    if framing != "sse":
        return _values(text, 0, len(text))
    found: list[Any] = []
    for match in _DATA.finditer(text):
        if match[1].lstrip()[:1] in (b"{", b"[", b'"'):
            found.extend(_values(text, *match.span(1)))
        else:
            found.append(Leaf(*match.span(1)))
    return found


class _Open:
    """An object or array that is being read, and in an object the name of the next value."""

    __slots__ = ("name", "value")

    def __init__(self, value: dict[str, Any] | list[Any]) -> None:
        self.value = value
        self.name: str | None = None

    def take(self, entry: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(entry)
        elif self.name is not None:
            # A name that comes again doesn't hide what came under it before.
            name = self.name if self.name not in self.value else f"{self.name}\n{len(self.value)}"
            self.value[name] = entry


def _values(text: bytes, start: int, end: int) -> list[Any]:
    found: list[Any] = []
    inner = _Open(found)
    around: list[_Open] = []
    for match in _TOKEN.finditer(text, start, end):
        _, colon, bracket, number = match.groups()
        if bracket is None:
            if colon is not None:
                inner.name = _name(text[slice(*match.span(1))])
            elif number is None:
                inner.take(Leaf(*match.span(1)))
            else:
                inner.take(int(number[:18]))
        elif bracket in b"{[":
            value: Any = {} if bracket == b"{" else []
            inner.take(value)
            around.append(inner)
            inner = _Open(value)
        elif around:
            inner = around.pop()
    return found


def _name(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
