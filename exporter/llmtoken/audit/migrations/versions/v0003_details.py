"""What only some calls have, beside the columns that all have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One column; calls from before have nothing in it."""
    op.add_column("calls", sa.Column("details", sa.Text(), nullable=False, server_default="{}"))
