"""What the collector has learned about counting, kept beside the calls, so that a restart forgets nothing.

A row is one side of one model: the newest pairs of our count and the provider's. What they mean
and how they are used is `llmtoken.count.calibration`'s business. Collectors that share a
database each write what they have seen last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from operator import itemgetter

from sqlalchemy import Column, Connection, String, Table, and_, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from llmtoken.audit.schema import metadata
from llmtoken.audit.values import Instant, Json

Lesson = tuple[str, str, str, tuple[tuple[int, int], ...]]
"""Provider, model, side, pairs; without pairs it is to be forgotten. The names are printable, at most `NAME` long."""

NAME = 200

table = Table(
    "calibration",
    metadata,
    Column("provider_name", String(NAME), primary_key=True, doc="Whose API it is; empty when unknown."),
    Column("model", String(NAME), primary_key=True, doc="Model that answered."),
    Column("side", String(NAME), primary_key=True, doc="`input`, `input with tools`, `output` or `output with calls`."),
    Column("pairs", Json(), nullable=False, doc="Our count and the provider's, oldest first: a JSON list of pairs."),
    Column("updated_at", Instant(), nullable=False, doc="When the row was written, UTC."),
)

_KEY = ("provider_name", "model", "side")


def load(connection: Connection) -> list[Lesson]:
    """Everything that is known, the oldest first."""
    rows = connection.execute(select(table).order_by(table.c.updated_at, *(table.c[name] for name in _KEY)))
    return [(row.provider_name, row.model, row.side, tuple(map(tuple, row.pairs))) for row in rows]


def save(connection: Connection, lessons: Iterable[Lesson]) -> None:
    """Write these rows, or take those without pairs away."""
    now = datetime.now(UTC)
    kept = [
        {**dict(zip(_KEY, key, strict=True)), "pairs": pairs, "updated_at": now} for *key, pairs in lessons if pairs
    ]
    gone = [{f"old_{name}": part for name, part in zip(_KEY, key, strict=True)} for *key, pairs in lessons if not pairs]
    if kept:
        kept.sort(key=itemgetter(*_KEY))  # in one order, or two replicas would wait for each other
        insert = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
        news = {name: insert.excluded[name] for name in ("pairs", "updated_at")}
        connection.execute(insert.on_conflict_do_update(index_elements=_KEY, set_=news), kept)
    if gone:
        same = and_(*(table.c[name] == bindparam(f"old_{name}") for name in _KEY))
        connection.execute(delete(table).where(same), gone)
