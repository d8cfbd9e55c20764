"""What counting has learned of each model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

NAME = sa.String(200)


def upgrade() -> None:
    """One small table."""
    op.create_table(
        "calibration",
        sa.Column("provider_name", NAME, primary_key=True),
        sa.Column("model", NAME, primary_key=True),
        sa.Column("side", NAME, primary_key=True),
        sa.Column("pairs", sa.Text(), nullable=False),
        sa.Column(
            "updated_at", sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"), nullable=False
        ),
    )
