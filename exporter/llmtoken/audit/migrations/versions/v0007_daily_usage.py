"""What the calls of each day add up to, filled from those that are there, with the views over it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

MONEY = sa.Text().with_variant(sa.Numeric(), "postgresql")

APART = ("operation_name", "provider_name", "request_model", "response_model", "http_status", "error_type", "consumer")
TABLES = {
    "daily_usage": APART,
    "daily_model_usage": APART[:-1],
    "daily_consumer_usage": APART[-1:],
    "pruned_daily_usage": APART,
}
TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)
COUNTS = ("calls", "errors", "estimated_calls", "unpriced_calls")
SUMS = ("calls", "errors", *TOKENS, "estimated_calls", "unpriced_calls", "cost")
AT_ONCE = 1000


def upgrade() -> None:
    """Four small tables, read once through all calls, and indexes of the few calls that failed."""
    connection = op.get_bind()
    for name, apart in TABLES.items():
        table = op.create_table(
            name,
            sa.Column("day", sa.String(10), primary_key=True),
            sa.Column("digest", sa.String(24), primary_key=True),
            *(sa.Column(each, sa.BigInteger() if each == "http_status" else sa.String(512)) for each in apart),
            *(
                sa.Column(each, MONEY if each == "cost" else sa.BigInteger(), nullable=each not in COUNTS)
                for each in SUMS
            ),
            sqlite_with_rowid=False,
        )
        if name == "pruned_daily_usage":
            continue
        rows = ({**row, "digest": digest(row[each] for each in apart)} for row in days(connection, apart))
        while some := list(islice(rows, AT_ONCE)):
            connection.execute(sa.insert(table), some)
    failed = sa.text("error_type IS NOT NULL")
    op.create_index(
        "calls_error_type", "calls", ["started_at", "id", "error_type"], sqlite_where=failed, postgresql_where=failed
    )
    failed = sa.text("http_status >= 400")
    op.create_index(
        "calls_http_status", "calls", ["started_at", "id", "http_status"], sqlite_where=failed, postgresql_where=failed
    )
    make_views(connection)


def days(connection: sa.Connection, apart: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """What the calls that are there add up to."""
    sqlite = connection.dialect.name == "sqlite"
    day = "substr(started_at, 1, 10)" if sqlite else "to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    keys = ", ".join((day, *apart))
    tokens = ", ".join(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in TOKENS)
    rows = connection.execute(
        sa.text(f"""
            SELECT {day} AS day, {", ".join(apart)}, count(*) AS calls, count(error_type) AS errors, {tokens},
                   count(CASE WHEN usage_source IN ('estimated', 'partial') THEN 1 END) AS estimated_calls,
                   count(CASE WHEN cost IS NULL AND (input_tokens <> 0 OR output_tokens <> 0) THEN 1 END)
                       AS unpriced_calls,
                   {"exact_sum" if sqlite else "sum"}(cost) AS cost
            FROM calls GROUP BY {keys}
        """)  # noqa: S608 - all of it stands above
    )
    yield from map(dict, rows.mappings())


def digest(told_apart: Iterator[Any]) -> str:
    """As the collector makes it."""
    text = json.dumps(list(told_apart), ensure_ascii=False, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=12).hexdigest()


def make_views(connection: sa.Connection) -> None:
    """The views of usage anew, over the sums of days: they then remember what was pruned."""
    sums = ",\n".join(
        f"CAST(sum({name}) AS BIGINT) AS {name}" for name in (*COUNTS[:2], *TOKENS[:6], "estimated_calls")
    )
    for view, columns, table in (
        ("usage_by_day", "day", "daily_model_usage"),
        ("usage_by_model", "provider_name, request_model, response_model", "daily_model_usage"),
        ("usage_by_consumer", "consumer", "daily_consumer_usage"),
    ):
        connection.execute(sa.text(f"DROP VIEW {view}"))
        connection.execute(
            sa.text(f"""
                CREATE VIEW {view} AS
                SELECT {columns},
                       {sums},
                       round(sum(cost), 12) AS cost,
                       CAST(sum(unpriced_calls) AS BIGINT) AS unpriced_calls
                FROM {table} GROUP BY {columns}
            """)  # noqa: S608 - likewise
        )
