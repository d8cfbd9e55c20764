"""Parts of tokens that are told in more than one way: see `llmtoken.audit.parts`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"

INSTANT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """One table, empty: of what was counted before, only the replies' own ids are known."""
    op.create_table(
        "counted_parts",
        sa.Column("part", sa.LargeBinary(), primary_key=True),
        sa.Column("counted_by", sa.String(512), nullable=False),
        sa.Column("told_at", INSTANT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("counted_parts_told_at", "counted_parts", ["told_at"])
