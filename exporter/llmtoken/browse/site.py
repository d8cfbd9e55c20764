"""Datasette with one database in it, read-only to the bone. What is ours among its pages: `hooks`."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

from datasette.app import Datasette
from datasette.database import Database

from llmtoken import audit
from llmtoken.browse.metadata import NAME, metadata
from llmtoken.config import Settings
from llmtoken.errors import ConfigError

_SETTINGS = {
    "sql_time_limit_ms": 10_000,
    "max_returned_rows": 1000,
    "num_sql_threads": 3,
    "allow_download": False,
    "suggest_facets": False,  # forty columns that are each tried on every page
    "truncate_cells_html": 200,
    "default_cache_ttl": 0,
    "max_csv_mb": 1024,
}


def _file_of(database: str) -> Path:
    """The SQLite file behind a path or URL. Raises `ConfigError` for a server's database."""
    if "://" in database and not database.startswith("sqlite"):
        raise ConfigError(
            "audit browse reads SQLite files, and this audit is on a server",
            hint="ask it with psql, Grafana, `llmtoken audit list` or the API; docs/sql.md has queries",
        )
    with audit.open_read_only(database) as reader:
        assert reader.path is not None  # noqa: S101 - it is a file
        return reader.path


class Site(Datasette):  # type: ignore[misc] # has no types
    """One database, and what our pages need besides."""

    def __init__(self, settings: Settings, *, can_log_out: bool) -> None:
        file = _file_of(settings.database)
        here = resources.files(__package__)
        super().__init__(
            files=[],
            memory=False,
            metadata=metadata(str(file)),
            settings=_SETTINGS,
            template_dir=str(here / "pages"),
            static_mounts=[("llmtoken", str(here / "static"))],
        )
        # Without files it makes itself an empty database, which nobody needs.
        self.remove_database("_memory")
        self.add_database(ReadOnly(self, str(file), is_mutable=True), name=NAME)
        self.audit_settings = settings
        self.can_log_out = can_log_out
        self.reader = audit.open_read_only(settings.database)


class ReadOnly(Database):  # type: ignore[misc] # has no types
    """A file that no connection can write to."""

    def connect(self, write: bool = False) -> sqlite3.Connection:
        """A new connection; the path is quoted, so that nothing in it is taken for an option."""
        if write:
            raise sqlite3.OperationalError("the audit is read-only here")
        connection = sqlite3.connect(f"{Path(self.path).as_uri()}?mode=ro", uri=True, check_same_thread=False)
        self._all_file_connections.append(connection)
        return connection
