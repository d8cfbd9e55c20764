"""The chains of seals, which are empty until sealing is switched on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"

INSTANT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
NAME = sa.String(512)


def upgrade() -> None:
    """One table."""
    op.create_table(
        "seals",
        sa.Column("instance", NAME, primary_key=True),
        sa.Column("sequence", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("key_id", NAME, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
    )
    looked_up = sa.text("kind IN ('deleted_calls', 'released')")
    op.create_index(
        "seals_looked_up", "seals", ["kind", "sequence"], sqlite_where=looked_up, postgresql_where=looked_up
    )
