"""What a value becomes when it is stored, so that one odd record can't stop its neighbours.

Bodies and names come from clients and model servers: anything may be in them. A database
takes only part of it, and refuses the whole transaction for the rest. So, on the way in:

- text: surrogate pairs are joined; lone surrogates and NUL become U+FFFD (UTF-8 has no
  surrogates, PostgreSQL's text no NUL); text columns of `calls` are cut at their length;
- integers past ±2^40 become null (in a JSON object they go): nothing that we count gets there, and sums of a column
  stay within 64 bits for the first eight million such rows;
- floats that are NaN or infinite likewise: JSON has neither;
- costs that aren't finite, of a quadrillion or more, or with more than 30 decimals become null.

The column types say how SQLite and PostgreSQL differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Dialect, Float, Numeric, String, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

from llmtoken.totals import plus_cost

LARGEST = 2**40
"""Largest integer that is stored."""


class Instant(TypeDecorator[datetime]):
    """A moment in UTC: `timestamptz`, or on SQLite text of fixed width, so that it sorts.

    SQLite's own date functions read that text, such as 2026-01-31T12:00:00.000000Z.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`timestamptz` where there is one."""
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database."""
        return value if value is None or dialect.name == "postgresql" else rfc3339(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database, in UTC."""
        if value is None:
            return None
        return (value if dialect.name == "postgresql" else datetime.fromisoformat(value)).astimezone(UTC)


class Money(TypeDecorator[Decimal]):
    """An exact amount: `numeric`, or on SQLite, which has no such thing, its digits as text."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`numeric` where there is one."""
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """To the database."""
        return value if value is None or dialect.name == "postgresql" else digits(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's signature
        """From the database."""
        return None if value is None else Decimal(value)


class ExactSum:
    """The sum of amounts of money in SQLite, to the last digit: the aggregate function `exact_sum`."""

    def __init__(self) -> None:
        self._sum: Decimal | None = None

    def step(self, value: str | None) -> None:
        """One amount more."""
        if value is not None:
            self._sum = plus_cost(self._sum, Decimal(value))

    def finalize(self) -> str | None:
        """The digits; nothing when there was no amount."""
        return None if self._sum is None else f"{self._sum:f}"


def exact_plus(one: str | None, other: str | None) -> str | None:
    """Two amounts of money in SQLite, likewise: the function `exact_plus`. Unknown adds nothing."""
    if one is None or other is None:
        return other if one is None else one
    return f"{plus_cost(Decimal(one), Decimal(other)):f}"


class Json(TypeDecorator[Any]):
    """A JSON list or object, as text on both, so that it reads the same everywhere."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """From the database."""
        return None if value is None else msgspec.json.decode(value)


def bound(columns: Iterable[Column[Any]], dialect: Dialect) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
    """What the driver takes for a value that isn't null, by the column's place; others it takes as they are.

    For statements that go past SQLAlchemy. Not for JSON.
    """
    takes = _SQLITE_TAKES if dialect.name == "sqlite" else {}
    types = enumerate(type(column.type) for column in columns)
    return tuple((place, takes[kind]) for place, kind in types if kind in takes)


def digits(amount: Decimal) -> str:
    """All digits of an amount of money, never with an exponent."""
    return f"{amount:f}"


def rfc3339(moment: datetime) -> str:
    """UTC to the microsecond, always 27 characters: 2026-01-31T12:00:00.000000Z."""
    return f"{moment.isoformat(timespec='microseconds')[:26]}Z"


def cleaner(column: Column[Any]) -> Callable[[Any], Any]:
    """The function that makes any value but `None` storable in this column; it may give `None`."""
    if isinstance(column.type, String) and column.type.length is not None:
        return _text(column.type.length)
    return _RULES[type(column.type)]


def _text(length: int | None) -> Callable[[Any], str]:
    def clean(value: Any) -> str:
        string = value if type(value) is str else str(value)
        if not string.isascii():
            try:
                string.encode()
            except UnicodeEncodeError:
                string = string.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return (string.replace("\0", "\ufffd") if "\0" in string else string)[:length]

    return clean


text = _text(None)
"""Text that every database takes, uncut."""


def instant(value: datetime) -> datetime:
    """A moment in UTC; without a zone it is taken to be UTC already."""
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:  # the first or last day of all that datetime knows
        return value.replace(tzinfo=UTC)


def money(value: Decimal) -> Decimal | None:
    """An amount of a size that has a meaning."""
    exponent = value.as_tuple().exponent
    meaningful = isinstance(exponent, int) and exponent >= -30 and value.adjusted() < 15  # noqa: PLR2004 - see above
    if not meaningful:
        return None
    return value.copy_abs() if value.is_zero() and value.is_signed() else value  # PostgreSQL has no minus zero


def integer(value: Any) -> int | None:
    """A whole number of a size that has a meaning."""
    try:
        whole = int(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return whole if -LARGEST <= whole <= LARGEST else None


def number(value: Any) -> float | None:
    """A finite number."""
    try:
        real = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return real if math.isfinite(real) else None


def json(value: Mapping[str, Any] | Iterable[str]) -> dict[str, Any] | list[str]:
    """A list of strings, or a map of strings and numbers; a number that has no meaning is left out."""
    if isinstance(value, Mapping):
        entries = ((text(name), _entry(entry)) for name, entry in value.items())
        return {name: entry for name, entry in entries if entry is not None}
    return [text(entry) for entry in value]


def _entry(value: Any) -> str | int | float | None:
    if isinstance(value, str):
        return text(value)
    return number(value) if isinstance(value, float) else integer(value)


_RULES: Mapping[type, Callable[[Any], Any]] = {
    Text: text,
    Instant: instant,
    Money: money,
    Json: json,
    BigInteger: integer,
    Float: number,
    Boolean: bool,
}

_SQLITE_TAKES: Mapping[type, Callable[[Any], Any]] = {Instant: rfc3339, Money: digits, Boolean: int}
