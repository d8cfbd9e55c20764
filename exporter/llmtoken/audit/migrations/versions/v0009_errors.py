"""A view of the calls that failed."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Nothing is stored for it."""
    op.execute("""
        CREATE VIEW errors AS
        SELECT id, request_id, started_at, consumer, provider_name, request_model, operation_name, method, path,
               server_address, http_status, error_type, aborted, duration, middleware
        FROM calls
        WHERE error_type IS NOT NULL
    """)
