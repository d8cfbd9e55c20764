"""A record on its way into the database: one value for each column, mended where no database would take it.

To look at one value after the other would be a third of what a commit costs. So calls are told apart by the types
of their values, their *shape*: once for each it is worked out what there is to look at, and then all texts are
looked at in one go, all whole numbers, all others. Only a call in which something isn't as it should be is
mended value by value (`llmtoken.audit.values`). Must not know how rows are written.

Why so: docs/adr/collector-throughput.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.structs import astuple, replace
from sqlalchemy import BigInteger, Boolean, Float, String

from llmtoken.audit import replies, values
from llmtoken.audit.schema import FIELDS, SHORT, calls
from llmtoken.audit.values import LARGEST, Instant, Money
from llmtoken.call import Call, Record

COLUMNS = (*FIELDS, calls.c.counted_by, calls.c.series_id)
"""The columns that a draft has a value for, in their order."""

_NAMES = tuple(column.name for column in FIELDS)
_CLEANERS = tuple(values.cleaner(column) for column in FIELDS)
_STARTED_AT, _FINISH_REASONS, _COST, _LABELS, _DETAILS = (
    _NAMES.index(name) for name in ("started_at", "finish_reasons", "cost", "labels", "details")
)
_JSON: Mapping[int, tuple[type, ...]] = {_FINISH_REASONS: (tuple,), _LABELS: (dict,), _DETAILS: (dict,)}
_LENGTHS = tuple(getattr(column.type, "length", None) for column in FIELDS)
_encode = msgspec.json.Encoder().encode

_TYPES: Mapping[type, type] = {
    String: str,
    BigInteger: int,
    Float: float,
    Boolean: bool,
    Instant: datetime,
    Money: Decimal,
}
_USUAL = tuple(
    _JSON.get(place) or (_TYPES[type(column.type)], *((type(None),) if column.nullable else ()))
    for place, column in enumerate(FIELDS)
)
"""For each column the types of values that may be as they should be; others must be mended."""


class Draft:
    """The call as it will be stored and counted, the rest of its row, its key once it is new."""

    __slots__ = ("_values", "call", "counted_by", "key", "record", "series_id", "shape")

    def __init__(self, record: Record) -> None:
        self.record = record
        self._take(record.call)
        # Who counts a fetched reply is its own call, until the writer finds another.
        told_again = record.fetched and (record.parts is not None or replies.has_usage(self.call))
        self.counted_by = self.call.request_id if told_again else None
        self.series_id: int | None = None
        self.key: int | None = None

    def give_up(self, counted_by: str | None) -> None:
        """Another call has the tokens."""
        if counted_by is not None:
            self._take(replace(self.call, **replies.TAKEN_OUT))
            self.counted_by = counted_by

    def give_up_parts(self, counted_by: Mapping[str, str]) -> None:
        """Other calls have these parts of the tokens."""
        parts = self.record.parts
        if parts is None or not counted_by:
            return
        if counted_by.keys() >= set(parts.ids):
            self.give_up(counted_by[parts.ids[0]])
        else:
            self._take(replace(self.call, **parts.without(counted_by)))

    def row(self) -> list[Any]:
        """A value for each of `COLUMNS`, JSON as text."""
        return [*self._values, self.counted_by, self.series_id]

    def has_bodies(self) -> bool:
        """Whether anything that was said is stored."""
        return self.record.request_body is not None or self.record.response_body is not None

    def bodies(self) -> tuple[int | None, str | None, str | None]:
        """The key and what was said."""
        return self.key, _text(self.record.request_body), _text(self.record.response_body)

    def _take(self, call: Call) -> None:
        found = astuple(call)
        self.shape = shape_of(tuple(map(type, found)))
        row = self.shape.row(found)
        if row is None:
            call, row = _mended(found)
            self.shape = shape_of(tuple(map(type, row)))
        self.call, self._values = call, row


class Shape:
    """What calls have in common whose values are of the same types."""

    def __init__(self, types: Sequence[type]) -> None:
        self.present = tuple(place for place, found in enumerate(types) if found is not type(None))
        """The columns that have a value, by their place."""
        self._usual = all(found in taken for found, taken in zip(types, _USUAL, strict=True))
        self._texts = _getter(types, str)
        self._whole = _getter(types, int)
        self._real = _getter(types, float)
        self._lengths = self._texts(_LENGTHS)

    def row(self, found: Sequence[Any]) -> list[Any] | None:
        """The values as they are stored, JSON as text; `None` when something must be mended first."""
        if not (self._usual and self._storable(found)):
            return None
        row = list(found)
        row[_FINISH_REASONS] = reasons = _list(found[_FINISH_REASONS])
        row[_LABELS] = labels = _object(found[_LABELS])
        row[_DETAILS] = details = _object(found[_DETAILS])
        return None if reasons is None or labels is None or details is None else row

    def _storable(self, found: Sequence[Any]) -> bool:
        """Whether all but JSON can be stored as it is: the texts in one go, then the numbers."""
        texts, whole, cost = self._texts(found), self._whole(found), found[_COST]
        joined = "".join(texts)
        if len(joined) > SHORT and any(len(text) > most for text, most in zip(texts, self._lengths, strict=True)):
            return False
        return (
            "\0" not in joined
            and (joined.isascii() or _is_unicode(joined))
            and (not whole or (min(whole) >= -LARGEST and max(whole) <= LARGEST))
            and isfinite(sum(self._real(found)))
            and found[_STARTED_AT].tzinfo is UTC
            and (cost is None or values.money(cost) is cost)
        )


@lru_cache(maxsize=1024)
def shape_of(types: tuple[type, ...]) -> Shape:
    """The shape of calls whose values are of these types."""
    return Shape(types)


def _mended(found: Sequence[Any]) -> tuple[Call, list[Any]]:
    """The call and its row, every value mended by itself."""
    row: list[Any] = [None if value is None else clean(value) for clean, value in zip(_CLEANERS, found, strict=True)]
    mended: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    for place in _JSON:
        row[place] = None if row[place] is None else _encode(row[place]).decode()
    return Call(**mended), row


def _list(value: Iterable[str]) -> str | None:
    """A JSON list of texts; `None` when one must be mended first."""
    for entry in value:
        if type(entry) is not str:
            return None
    return _json(value)


def _object(value: Mapping[str, Any]) -> str | None:
    """A JSON object, likewise."""
    if not value:
        return "{}"
    for entry in value.values():
        kind = type(entry)
        if not (kind is str or (kind is int and -LARGEST <= entry <= LARGEST) or (kind is float and isfinite(entry))):
            return None
    return _json(value)


def _json(value: Any) -> str | None:
    try:
        text = _encode(value).decode()
    except UnicodeEncodeError:
        return None
    return None if "\\u0000" in text else text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(body: str | None) -> str | None:
    return None if body is None else values.text(body)


def _getter(types: Sequence[type], wanted: type) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What gets the values of this type, however few they are."""
    places = tuple(place for place, found in enumerate(types) if found is wanted)
    if len(places) > 1:
        return itemgetter(*places)
    return lambda found: tuple(found[place] for place in places)
