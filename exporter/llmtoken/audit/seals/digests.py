"""What a call and its bodies come down to, the same at writing and at reading, on either database.

A call is the map of its columns that aren't null, as SQLite holds them: times and amounts as text, JSON as the very
text that is stored, booleans as 0 or 1. So a column that is added later, and null in the rows from before, changes no
digest. Bodies are a list of the call's id and both texts. MessagePack says where each value ends.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Boolean, Connection, Float

from llmtoken.audit import values
from llmtoken.audit.schema import bodies, calls
from llmtoken.audit.values import Instant, Money

LENGTH = 32
"""Bytes of a digest."""

NO_BODIES = bytes(LENGTH)
"""In place of a digest where a call has no row in `bodies`."""

NAMES = tuple(column.name for column in calls.columns)
"""Columns of `calls`: all of them are evidence."""

encode = msgspec.msgpack.Encoder().encode

_PLACES = tuple(
    place for place, column in enumerate(calls.columns) if isinstance(column.type, (Instant, Money, Boolean, Float))
)
"""The columns whose values aren't everywhere the same."""


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256, or without a key SHA-256."""
    return hmac.digest(key, message, "sha256") if key else sha256(message).digest()


def of_row(key: bytes, call_id: int, row: Sequence[Any]) -> bytes:
    """The digest of a call on its way in, from a value for each column but the id, JSON as text."""
    return of_values(key, values_of((call_id, *row)))


def of_values(key: bytes, found: Sequence[Any]) -> bytes:
    """The digest of a call from its `values_of`."""
    return mac(key, encode({name: value for name, value in zip(NAMES, found, strict=True) if value is not None}))


def of_bodies(key: bytes, call_id: int, request: Any, response: Any) -> bytes:
    """The digest of a row of `bodies`."""
    return mac(key, encode(("bodies", call_id, request, response)))


def plain(found: Any) -> Any:
    """A value of Python's or of a driver's, as SQLite holds it. Takes whatever may stand in a database."""
    if isinstance(found, bool):
        return int(found)
    if isinstance(found, float):
        return found + 0.0  # minus zero is zero there
    if isinstance(found, datetime):
        return values.rfc3339(found.astimezone(UTC))
    if isinstance(found, Decimal):
        return values.digits(found)
    return found


_READ = (
    f"SELECT {', '.join(f'calls.{name}' for name in NAMES)}, bodies.call_id, "  # noqa: S608 - our own names
    f"{', '.join(f'bodies.{column.name}' for column in bodies.columns if not column.primary_key)} "
    "FROM calls LEFT JOIN bodies ON bodies.call_id = calls.id WHERE calls.id"
)


def rows(connection: Connection, ids: Sequence[int]) -> Iterable[Sequence[Any]]:
    """The calls that are there of these ids, which ascend: each the columns of `NAMES`, then those of `bodies`.

    As the driver gives them: a column type of ours would stumble over what somebody else has put there.
    """
    return streamed(connection, f"{_READ} {among(ids)}")


def streamed(connection: Connection, query: str) -> Iterable[Sequence[Any]]:
    """Rows of a query, a few at a time: bodies may have megabytes."""
    return connection.exec_driver_sql(query, execution_options={"stream_results": True, "max_row_buffer": 64})


def among(ids: Sequence[int]) -> str:
    """What is true of a column with one of these ids, which ascend; the bounds tell PostgreSQL which partitions."""
    within = f"BETWEEN {ids[0]} AND {ids[-1]}"
    return within if ids[-1] - ids[0] < len(ids) else f"{within} AND calls.id IN ({', '.join(map(str, ids))})"


def values_of(row: Sequence[Any]) -> list[Any]:
    """A call's columns, from the beginning of a row, as SQLite holds them."""
    found = list(row[: len(NAMES)])
    for place in _PLACES:
        found[place] = plain(found[place])
    return found


def bodies_of(key: bytes, row: Sequence[Any]) -> bytes:
    """The digest of the bodies in a row of `rows`."""
    call_id, request, response = row[len(NAMES) :]
    return NO_BODIES if call_id is None else of_bodies(key, call_id, request, response)
