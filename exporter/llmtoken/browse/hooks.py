"""What Datasette asks us: how connections are prepared, what our pages show, which addresses there are.

Datasette calls these functions for every site of the process; only ours are touched.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any
from urllib.parse import quote, unquote

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils.asgi import Response
from markupsafe import Markup

from llmtoken.browse.guard import LOGOUT
from llmtoken.browse.metadata import NAME
from llmtoken.browse.overview import SPANS, overview
from llmtoken.browse.questions import QUESTIONS
from llmtoken.browse.site import Site
from llmtoken.conversation import Told, tell
from llmtoken.count import Calibration

_LONGEST = 100_000_000
"""Bytes of a text that SQL may make: a body has 64 MiB at most."""
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_PRAGMAS = frozenset(
    {
        *("table_info", "table_xinfo", "foreign_key_list", "index_list", "index_info", "index_xinfo"),
        *("database_list", "table_list", "schema_version", "data_version"),
    }
)
"""Those that only tell, which Datasette and full-text search ask."""
_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
"""Those that reach out of the database, wherever SQLite has them."""
_CHARTS = {each.name: each.chart for each in QUESTIONS if each.chart is not None}


def _may(action: int, one: str | None, two: str | None, *_: Any) -> int:
    """SQLite's question before it prepares a statement: whether it may do this."""
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = (two or "").lower() not in _FUNCTIONS
    elif action == sqlite3.SQLITE_PRAGMA:
        allowed = (one or "").lower() in _PRAGMAS and not (two and one in ("schema_version", "data_version"))
    else:
        allowed = action in _READS
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


@hookimpl
def prepare_connection(conn: sqlite3.Connection, database: str, datasette: Datasette) -> None:
    """Nothing but reading, whatever SQL is asked: the file is opened so, and SQLite asks `_may` besides."""
    if isinstance(datasette, Site) and database == NAME:
        conn.execute("PRAGMA query_only = ON")
        conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        conn.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        conn.set_authorizer(_may)


@hookimpl
def extra_css_urls(datasette: Datasette) -> list[str]:
    """Our style sheet, behind Datasette's."""
    return ["/llmtoken/llmtoken.css"] if isinstance(datasette, Site) else []


@hookimpl
def extra_template_vars(template: str, request: Any, datasette: Datasette) -> Any:
    """What our templates need; the start page's numbers are read when it is asked for."""
    if not isinstance(datasette, Site):
        return {}

    async def found() -> dict[str, Any]:
        common = {"can_log_out": datasette.can_log_out, "logout": LOGOUT, "chart": _chart, "audit_database": NAME}
        if template != "index.html":
            return common
        days = request.args.get("days") if request else None
        chosen = next((span for span in SPANS if str(span) == days), 30)
        shown = await asyncio.to_thread(overview, datasette.reader, chosen)
        return {**common, "overview": shown, "questions": QUESTIONS}

    return found


@hookimpl
def render_cell(value: Any, column: str, datasette: Datasette) -> Markup | None:
    """A call's id leads to its page."""
    if isinstance(datasette, Site) and column in ("request_id", "counted_by") and value is not None:
        return Markup('<a href="{}">{}</a>').format(_address(datasette, value), value)
    return None


@hookimpl
def register_routes(datasette: Datasette) -> list[Any]:
    """The page of one call."""
    return [(r"^/-/calls/(?P<request_id>.+)$", _call)] if isinstance(datasette, Site) else []


def _chart(name: str | None, columns: Any, rows: Any) -> Markup:
    chart = _CHARTS.get(name or "")
    return chart.draw(columns, rows) if chart else Markup("")


def _address(datasette: Datasette, request_id: str) -> str:
    address: str = datasette.urls.path(f"/-/calls/{quote(request_id, safe='')}")
    return address


async def _call(datasette: Site, request: Any) -> Any:
    """The page of one call."""
    request_id = unquote(request.url_vars["request_id"])
    told = await asyncio.to_thread(_told, datasette, request_id)
    if told is None:
        return Response.html(
            await datasette.render_template("error.html", {"error": "There is no such call", "status": 404}, request),
            status=404,
        )
    return Response.html(await datasette.render_template("call.html", {"told": told, "call": told.call}, request))


def _told(site: Site, request_id: str) -> Told | None:
    row = site.reader.call(request_id, details=True, bodies=True)
    return None if row is None else tell(row, site.audit_settings, Calibration(site.reader.lessons()))
