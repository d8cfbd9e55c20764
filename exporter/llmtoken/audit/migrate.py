"""Bring a database to the newest schema, or say why not. All changes or none are made."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from llmtoken.audit.schema import metadata
from llmtoken.errors import DatabaseError

LEDGER = "llmtoken_schema"
"""Table with the number of the newest change that was made."""

_ANY_NUMBER = 0x6C6C6D


def check(connection: Connection) -> str | None:
    """The schema's number, `None` when there is none yet.

    Raises `DatabaseError` when the database is somebody else's or of a newer version.
    """
    _require_utf8(connection)
    # In this order: another replica may be making the schema just now, and the ledger comes with its tables.
    strange = _strangers(connection)
    found = MigrationContext.configure(connection, opts={"version_table": LEDGER}).get_current_revision()
    known = {change.revision for change in _script().walk_revisions()}
    if found is not None and found not in known:
        raise DatabaseError(
            f"The database's schema is {found}; this version of llmtoken knows up to {max(known)}",
            hint="run the llmtoken that wrote it, or a newer one; nothing was changed",
        )
    if found is None and strange:
        raise DatabaseError(
            f"The database isn't llmtoken's: it already has {', '.join(sorted(strange))}",
            hint="give llmtoken a database of its own; nothing was changed",
        )
    return found


def upgrade(connection: Connection, to: str = "head") -> None:
    """Create or migrate the schema within the transaction of `connection`, after `check`."""
    if connection.dialect.name == "postgresql":
        # Replicas start together; the first migrates, the others wait and find it done.
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ANY_NUMBER})"))
    config = _config()
    config.attributes.update(connection=connection, version_table=LEDGER)
    command.upgrade(config, to)


def require_newest(connection: Connection) -> None:
    """Raise `DatabaseError` unless the schema is exactly this version's: readers don't migrate."""
    found, newest = check(connection), _script().get_current_head()
    if found != newest:
        raise DatabaseError(
            f"The database's schema is {found or 'missing'}, this version reads {newest}",
            hint="start `llmtoken serve` on it once; it migrates by itself",
        )


def _require_utf8(connection: Connection) -> None:
    """SQLite always keeps UTF-8."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise DatabaseError(
                f"The database keeps text in {encoding}, which can't hold every prompt",
                hint="make it with createdb --encoding=UTF8 --template=template0 NAME",
            )


def _strangers(connection: Connection) -> set[str]:
    """What stands in our way: in a file anything at all, in a server's database our names."""
    present = inspect(connection)
    names = {*present.get_table_names(), *present.get_view_names()}
    return names if connection.dialect.name == "sqlite" else names & {*metadata.tables, "token_stats"}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "llmtoken.audit:migrations")
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
