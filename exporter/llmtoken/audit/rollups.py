"""What the calls of each day add up to, kept in the transaction that stores them, and kept when they are pruned.

`daily_usage` has a row for each day and all that calls are told apart by; two coarser tables are the
sums of it that people ask for most. Rows are found by the digest of what they are told apart by, because null
must equal null and names that clients make up may be longer than an index entry. Sums only ever grow by what
is new, so writers, replicas and corrections may meet in one row.
Must not know how calls are stored, or what is asked of the sums (`llmtoken.audit.usage`).

Why so: docs/adr/daily-rollups.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, String, Table, func

from llmtoken.audit.schema import TOKENS, calls, metadata
from llmtoken.audit.upsert import upsert
from llmtoken.audit.values import Money
from llmtoken.call import Call
from llmtoken.totals import Sums, known_sums, plus_cost

_TOLD_APART = ("operation_name", "provider_name", "request_model", "response_model", "http_status", "error_type")
"""Columns of `calls`, in the order in which a digest takes them; the full table has the consumer behind them."""

SUMS = ("calls", "errors", *(column.name for column in TOKENS), "estimated_calls", "unpriced_calls", "cost")
"""What is added up; tokens and cost are null where no call said anything."""

COUNTS = frozenset(("calls", "errors", "estimated_calls", "unpriced_calls"))
"""Those that are never null."""

Key = tuple[Any, ...]
"""A day, and what its calls are told apart by."""


def _table(name: str, *told_apart: str) -> Table:
    return Table(
        name,
        metadata,
        Column("day", String(10), primary_key=True, doc="Day in UTC: `2026-01-31`."),
        Column("digest", String(24), primary_key=True, doc="Of the next columns, up to `calls`; with `day` the key."),
        *(Column(column, calls.c[column].type, doc=calls.c[column].doc) for column in told_apart),
        Column("calls", BigInteger(), nullable=False, doc="Calls."),
        Column("errors", BigInteger(), nullable=False, doc="Calls with an `error_type`."),
        *(Column(column.name, BigInteger(), doc=f"{column.doc} Null when no call said.") for column in TOKENS),
        Column("estimated_calls", BigInteger(), nullable=False, doc="Calls whose tokens we counted."),
        Column("unpriced_calls", BigInteger(), nullable=False, doc="Calls with tokens, but no price known."),
        Column("cost", Money(), doc="US dollars, exact; null when no call has a price."),
        sqlite_with_rowid=False,
    )


daily_usage = _table("daily_usage", *_TOLD_APART, "consumer")
daily_model_usage = _table("daily_model_usage", *_TOLD_APART)
daily_consumer_usage = _table("daily_consumer_usage", "consumer")
pruned_daily_usage = _table("pruned_daily_usage", *_TOLD_APART, "consumer")
"""What calls that were deleted had added up to: `daily_usage` is this and the sums over `calls`."""

MEANINGS = {name: daily_usage.c[name].doc or "" for name in SUMS}
"""What each sum says, by name."""

COARSE = (daily_model_usage, daily_consumer_usage)


def told_apart(table: Table) -> tuple[str, ...]:
    """The columns that a row of the table is for, beside the day."""
    names = [column.name for column in table.columns]
    return tuple(names[2 : names.index("calls")])


# ── Adding up ───────────────────────────────────────────────────────────────────────────


class Addition:
    """What one transaction adds: `add` calls that are new, and `write` last, while its locks are held shortest."""

    def __init__(self) -> None:
        self._groups: dict[Key, list[Any]] = {}

    def add(self, calls: Sequence[Call], sums: Sums) -> None:
        """Add calls of one day that are alike in what they are told apart by, and in who counted; with their `sums`."""
        one = calls[0]
        total_tokens, input_audio, output_audio = known_sums(zip(*map(_others_of, calls), strict=True))
        added = [  # as in SUMS
            sums.calls,
            0 if one.error_type is None else sums.calls,
            sums.input_tokens,
            sums.output_tokens,
            total_tokens,
            sums.cache_read_input_tokens,
            sums.cache_write_input_tokens,
            sums.reasoning_output_tokens,
            input_audio,
            output_audio,
            sums.calls if one.usage_source in ESTIMATED else 0,
            sums.unpriced_calls,
            sums.cost,
        ]
        merge(self._groups, (one.started_at.date().isoformat(), *_told_apart_of(one)), added)

    def write(self, connection: Connection) -> None:
        """Add it to the tables, within the transaction that stores the calls."""
        add(connection, daily_usage, self._groups)
        for table in COARSE:
            add(connection, table, coarser(self._groups, table))


_told_apart_of = attrgetter(*told_apart(daily_usage))
_others_of = attrgetter("total_tokens", "input_audio_tokens", "output_audio_tokens")

ESTIMATED = ("estimated", "partial")
"""Values of `usage_source` where we counted."""


def merge(groups: dict[Key, list[Any]], key: Key, sums: Sequence[Any]) -> None:
    """Add `sums` to those of a group."""
    known = groups.get(key)
    if known is None:
        groups[key] = list(sums)
        return
    for place, value in enumerate(sums[:-1]):
        if value is not None:
            before = known[place]
            known[place] = value if before is None else before + value
    known[-1] = plus_cost(known[-1], sums[-1])


def coarser(groups: Mapping[Key, Sequence[Any]], table: Table) -> dict[Key, list[Any]]:
    """The same sums, told apart by less."""
    found: dict[Key, list[Any]] = {}
    for key, sums in groups.items():
        merge(found, coarser_key(key, table), sums)
    return found


def coarser_key(key: Key, table: Table) -> Key:
    """The row of a coarser table that has the sums of this one of `daily_usage`, too."""
    coarse: Key = _COARSER[table.name](key)
    return coarse


_COARSER = {
    table.name: itemgetter(0, *(1 + told_apart(daily_usage).index(name) for name in told_apart(table)))
    for table in COARSE
}


def add(connection: Connection, table: Table, groups: Mapping[Key, Sequence[Any]]) -> None:
    """Add sums to a table's rows; those that aren't there are made."""
    rows = [[key[0], digest(key[1:]), *key[1:], *sums] for key, sums in groups.items()]
    # Always in the same order, or two replicas might each wait for a row that the other one has.
    rows.sort(key=itemgetter(0, 1))
    upsert(connection, table, rows, _sum)


@lru_cache(maxsize=8192)
def digest(told_apart: Key) -> str:
    """What a row is found by within its day."""
    return blake2b(msgspec.json.encode(told_apart), digest_size=12).hexdigest()


def _sum(old: ColumnElement[Any], new: ColumnElement[Any], dialect: str) -> ColumnElement[Any] | None:
    if old.key not in SUMS:
        return None  # what groups are told apart by
    if old.key in COUNTS:
        return old + new
    if old.key == "cost" and dialect == "sqlite":
        return func.exact_plus(old, new)
    # Said in SQL's word, because to SQLAlchemy an amount of money is a text, and the sum of two texts is both.
    return func.coalesce(old.op("+")(new), old, new)
