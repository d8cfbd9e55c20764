"""What corrected prices have changed, and the log of the corrections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
MONEY = sa.Text().with_variant(sa.Numeric(), "postgresql")
SHORT = sa.String(512)


def upgrade() -> None:
    """Two small tables."""
    op.create_table(
        "repriced_totals",
        sa.Column("series_id", KEY, sa.ForeignKey("series.id"), primary_key=True, autoincrement=False),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False),
        sa.Column("cost", MONEY, nullable=False),
    )
    op.create_table(
        "repricings",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("began_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=False),
        sa.Column("provider_name", SHORT),
        sa.Column("model", SHORT),
        sa.Column("old_version", SHORT),
        sa.Column("new_version", SHORT),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("old_cost", MONEY),
        sa.Column("new_cost", MONEY),
    )
