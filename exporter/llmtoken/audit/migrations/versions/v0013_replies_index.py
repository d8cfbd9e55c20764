"""On SQLite, no index of replies' ids before one is needed: see `llmtoken.audit.replies.index`."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Where a reply was fetched, the index stays."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    fetched = connection.exec_driver_sql("SELECT EXISTS (SELECT * FROM calls WHERE counted_by IS NOT NULL)")
    if not fetched.scalar_one():
        op.execute("DROP INDEX calls_response_id")
