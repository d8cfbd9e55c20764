"""The loss ledger: what is known of each plugin, and what each collector found lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"

INSTANT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
NAME = sa.String(512)


def upgrade() -> None:
    """Two small tables."""
    op.create_table(
        "plugin_boots",
        sa.Column("boot", NAME, primary_key=True),
        sa.Column("heard_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("state", sa.Text(), nullable=False),
    )
    op.create_table(
        "plugin_losses",
        sa.Column("instance", NAME, primary_key=True),
        sa.Column("kind", NAME, primary_key=True),
        sa.Column("reason", NAME, primary_key=True),
        sa.Column("reports", sa.BigInteger(), nullable=False),
    )
