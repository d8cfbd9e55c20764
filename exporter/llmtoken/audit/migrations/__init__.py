"""The ledger of schema changes, in order; alembic runs them when the collector starts."""
