"""What was deleted, and a way to find who gave way to a call that is about to be."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """A small table, and an index of the fetches alone."""
    op.create_table(
        "prunings",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("rule", sa.String(512), nullable=False),
        sa.Column("deleted", sa.String(512), nullable=False),
        sa.Column("began_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("first_started_at", INSTANT, nullable=False),
        sa.Column("last_started_at", INSTANT, nullable=False),
    )
    given_way = sa.text("counted_by IS NOT NULL")
    op.create_index("calls_counted_by", "calls", ["counted_by"], sqlite_where=given_way, postgresql_where=given_way)
