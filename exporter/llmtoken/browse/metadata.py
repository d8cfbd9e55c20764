"""What Datasette is told about the tables: titles, what each column means, and the ready-made questions."""

from __future__ import annotations

from typing import Any

from llmtoken.audit.schema import metadata as schema
from llmtoken.browse.questions import QUESTIONS

NAME = "audit"
"""The database's place in addresses."""

_ABOUT = {
    "calls": "Every call, one row each. Null means that nobody knows; it never stands for 0.",
    "bodies": "What was asked and answered, apart from the numbers. No row where bodies aren't kept.",
    "series": "The sets of labels that calls are counted under on /metrics.",
    "totals": "What the counters on /metrics stand at.",
    "pruned_totals": "The part of the totals whose calls were deleted since.",
    "prunings": "What was deleted, and by which rule.",
    "calibration": "What counting has learned from calls whose usage was reported.",
}
_VIEWS = {
    "usage_by_day": "What the calls of a day (UTC) add up to.",
    "usage_by_model": "What the calls to a model add up to.",
    "usage_by_consumer": "What the calls of a consumer add up to.",
    "errors": "The calls that failed.",
    "token_stats": "Calls as the program that llmtoken grew from stored them.",
}
_HIDDEN = ("llmtoken_schema", "heartbeat", "sqlite_sequence")


def metadata(title: str) -> dict[str, Any]:
    """Everything, in Datasette's words. `title` names the database for people."""
    return {
        "title": "llmtoken audit",
        "description": title,
        "databases": {
            NAME: {
                "title": "llmtoken audit",
                "description": "Tables, views and ready-made questions; what the columns mean is on each table's page.",
                "tables": {
                    **{name: _table(name) for name in schema.tables},
                    **{name: {"description": about} for name, about in _VIEWS.items()},
                    **{name: {"hidden": True} for name in _HIDDEN},
                },
                "queries": {
                    each.name: {"sql": each.sql, "title": each.title, "description": each.description, "hide_sql": True}
                    for each in QUESTIONS
                },
            }
        },
    }


def _table(name: str) -> dict[str, Any]:
    columns = {column.name: column.doc for column in schema.tables[name].columns if column.doc}
    described: dict[str, Any] = {"description": _ABOUT.get(name, ""), "columns": columns}
    if name == "calls":
        described |= {"sort_desc": "id", "label_column": "request_id"}
    return described
