"""Calls, bodies, the heartbeat and the views over them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
MONEY = sa.Text().with_variant(sa.Numeric(), "postgresql")
SHORT = sa.String(512)
LONG = sa.String(8192)


def upgrade() -> None:
    """Build it all."""
    op.create_table(
        "calls",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("request_id", SHORT, nullable=False, unique=True),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("method", SHORT),
        sa.Column("path", LONG),
        sa.Column("host", SHORT),
        sa.Column("http_status", sa.BigInteger()),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("aborted", SHORT),
        sa.Column("operation_name", SHORT),
        sa.Column("provider_name", SHORT),
        sa.Column("server_address", SHORT),
        sa.Column("server_port", sa.BigInteger()),
        sa.Column("request_model", SHORT),
        sa.Column("response_model", SHORT),
        sa.Column("response_id", SHORT),
        sa.Column("finish_reasons", sa.Text(), nullable=False),
        sa.Column("error_type", SHORT),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("total_tokens", sa.BigInteger()),
        sa.Column("cache_read_input_tokens", sa.BigInteger()),
        sa.Column("cache_write_input_tokens", sa.BigInteger()),
        sa.Column("reasoning_output_tokens", sa.BigInteger()),
        sa.Column("input_audio_tokens", sa.BigInteger()),
        sa.Column("output_audio_tokens", sa.BigInteger()),
        sa.Column("usage_source", SHORT, nullable=False),
        sa.Column("duration", sa.Float()),
        sa.Column("time_to_first_byte", sa.Float()),
        sa.Column("time_to_first_chunk", sa.Float()),
        sa.Column("time_per_output_chunk", sa.Float()),
        sa.Column("tokens_per_second", sa.Float()),
        sa.Column("tool_calls", sa.BigInteger()),
        sa.Column("consumer", SHORT),
        sa.Column("cost", MONEY),
        sa.Column("price_version", SHORT),
        sa.Column("middleware", SHORT),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("request_bytes", sa.BigInteger()),
        sa.Column("response_bytes", sa.BigInteger()),
        sa.Column("request_truncated", sa.Boolean()),
        sa.Column("response_truncated", sa.Boolean()),
        sqlite_autoincrement=True,
    )
    op.create_index("calls_started_at", "calls", ["started_at"])
    op.create_index("calls_request_model", "calls", ["request_model", "started_at"])
    op.create_index("calls_consumer", "calls", ["consumer", "started_at"])
    op.create_index("calls_response_id", "calls", ["response_id"])
    op.create_table(
        "bodies",
        sa.Column("call_id", KEY, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
        sa.Column("request_body", sa.Text()),
        sa.Column("response_body", sa.Text()),
    )
    heartbeat = op.create_table(
        "heartbeat",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("checked_at", INSTANT, nullable=False),
        sa.Column("padding", sa.LargeBinary(), nullable=False),
    )
    op.execute(sa.insert(heartbeat).values(id=1, checked_at=sa.text("'1970-01-01T00:00:00.000000Z'"), padding=b""))
    _create_views()


def _create_views() -> None:
    if op.get_bind().dialect.name == "postgresql":
        day = "to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        timestamp = """to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    else:
        day, timestamp = "date(started_at)", "started_at"
    op.execute(f"""
        CREATE VIEW token_stats AS
        SELECT calls.id, input_tokens, output_tokens, total_tokens, duration AS elapsed_time,
               CASE WHEN duration > 0 THEN total_tokens / duration END AS tokens_per_second,
               {timestamp} AS timestamp, path, request_body, response_body
        FROM calls LEFT JOIN bodies ON bodies.call_id = calls.id
    """)  # noqa: S608 - both texts stand above
    for name, columns, keys in (
        ("usage_by_day", f"{day} AS day", day),
        ("usage_by_model", "provider_name, request_model, response_model", None),
        ("usage_by_consumer", "consumer", None),
    ):
        op.execute(f"""
            CREATE VIEW {name} AS
            SELECT {columns},
                   count(*) AS calls,
                   count(error_type) AS errors,
                   sum(input_tokens) AS input_tokens,
                   sum(output_tokens) AS output_tokens,
                   sum(total_tokens) AS total_tokens,
                   sum(cache_read_input_tokens) AS cache_read_input_tokens,
                   sum(cache_write_input_tokens) AS cache_write_input_tokens,
                   sum(reasoning_output_tokens) AS reasoning_output_tokens,
                   count(CASE WHEN usage_source IN ('estimated', 'partial') THEN 1 END) AS estimated_calls,
                   round(sum(cost), 12) AS cost,
                   count(CASE WHEN cost IS NULL AND total_tokens > 0 THEN 1 END) AS unpriced_calls
            FROM calls GROUP BY {keys or columns}
        """)  # noqa: S608 - likewise
