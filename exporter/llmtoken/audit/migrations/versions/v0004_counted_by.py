"""Which call has the tokens of a reply that was fetched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """One column, and an index of the few calls that counted what they fetched. Older calls stay as they were."""
    op.add_column("calls", sa.Column("counted_by", sa.String(512)))
    where = sa.text("counted_by = request_id")
    op.create_index("calls_fetched", "calls", ["response_id"], sqlite_where=where, postgresql_where=where)
