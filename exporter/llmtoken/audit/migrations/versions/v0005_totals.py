"""What the counters stand at, and under which of them each call is counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MONEY = sa.Text().with_variant(sa.Numeric(), "postgresql")


def upgrade() -> None:
    """Three small tables and a column. Older calls are under no counter: those began anew with each start."""
    op.create_table(
        "series",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("instance", sa.String(512), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"), nullable=False
        ),
    )
    op.create_index("series_instance", "series", ["instance"])
    for name in ("totals", "pruned_totals"):
        op.create_table(
            name,
            sa.Column("series_id", KEY, sa.ForeignKey("series.id"), primary_key=True, autoincrement=False),
            sa.Column("calls", sa.BigInteger(), nullable=False),
            sa.Column("unpriced_calls", sa.BigInteger(), nullable=False),
            sa.Column("input_tokens", sa.BigInteger()),
            sa.Column("output_tokens", sa.BigInteger()),
            sa.Column("cache_read_input_tokens", sa.BigInteger()),
            sa.Column("cache_write_input_tokens", sa.BigInteger()),
            sa.Column("reasoning_output_tokens", sa.BigInteger()),
            sa.Column("cost", MONEY),
        )
    op.add_column("calls", sa.Column("series_id", sa.BigInteger()))
