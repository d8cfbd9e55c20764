"""The audit: every call on record, in SQLite or PostgreSQL, through SQLAlchemy Core.

Owns the schema, its migrations, the one writer and the reads. Must not know HTTP or
OpenTelemetry: it takes `Record`s and gives JSON-ready dicts with the keys of DESIGN §5.
What is in the tables and how to query them: docs/audit.md.
"""

from llmtoken.audit.store import Audit, Reader, open, open_read_only  # noqa: A004 - audit.open reads well

__all__ = ["Audit", "Reader", "open", "open_read_only"]
