"""`llmtoken audit browse`: the audit in a browser, read-only, by Datasette.

    application(settings, tokens) -> an ASGI application

Datasette has the tables, the SQL and the formats; ours are the guard in front of it, the start
page with its charts, the ready-made questions, and the page of one call. For SQLite files:
Datasette reads nothing else. Must not know how rows are written.
"""

from __future__ import annotations

from collections.abc import Collection

from datasette.plugins import pm
from starlette.types import ASGIApp

from llmtoken.browse import hooks
from llmtoken.browse.guard import Guard
from llmtoken.browse.site import Site
from llmtoken.config import Settings

__all__ = ["application"]


def application(settings: Settings, tokens: Collection[str], *, hosts_checked: bool = True) -> ASGIApp:
    """The site behind its guard; see `Guard` for `hosts_checked`. Raises `DatabaseError` and `ConfigError`."""
    if not pm.is_registered(hooks):
        pm.register(hooks, hooks.__name__)
    return Guard(Site(settings, can_log_out=bool(tokens)).app(), tokens, hosts_checked=hosts_checked)
