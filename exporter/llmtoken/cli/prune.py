"""`llmtoken audit prune`: the account at the end, and the log of what was deleted."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

from rich.table import Column, Table

from llmtoken import audit
from llmtoken.audit import Rules, Summary
from llmtoken.cli.console import err, out
from llmtoken.cli.deleting import pause, progress
from llmtoken.config import Settings
from llmtoken.errors import ConfigError

_SHOWN = 100
"""Rows of the log that are shown, the newest."""


def prune(settings: Settings, *, as_json: bool) -> None:
    """Delete what the settings say and print what was deleted. Raises `ConfigError` when they say nothing."""
    rules = Rules(settings.retain_bodies, settings.retain_calls, settings.retain_bytes)
    if not rules:
        raise ConfigError(
            "Nothing says what may be deleted",
            hint="give --bodies, --calls or --bytes, or set retain_bodies, retain_calls or retain_bytes",
        )
    with audit.open_beside(settings.database, seal_keys=settings.seal_keys) as editor, progress() as advanced:
        summary = editor.prune(rules, pause=pause, advanced=advanced)
    if as_json:
        out.print_json(json.dumps(asdict(summary)))
    else:
        _print(summary)


def show_log(settings: Settings, *, as_json: bool) -> None:
    """Print what was deleted so far."""
    with audit.open_read_only(settings.database) as reader:
        rows = reader.prunings(_SHOWN)
    if as_json:
        out.print_json(json.dumps([asdict(row) for row in rows], default=_plain))
        return
    table = Table("deleted", "calls", "rule", Column("came in", overflow="fold"), "ids", "when")
    for row in rows:
        table.add_row(
            row.deleted,
            f"{row.calls:,}",
            row.rule,
            f"{_plain(row.first_started_at)} to {_plain(row.last_started_at)}",
            f"{row.first_id} to {row.last_id}",
            _plain(row.ended_at),
        )
    if rows:
        out.print(table)
    else:
        out.print("Nothing was deleted yet.")


def _print(summary: Summary) -> None:
    for each in summary.done:
        what = "the bodies of " if each.deleted == "bodies" else ""
        out.print(f"{each.rule}: {what}{each.count:,} calls deleted")
    if summary.kept:
        out.print(f"{summary.kept:,} old calls stay: they have the tokens of replies that were fetched again since")
    if summary.used_before is not None and summary.used_after is not None:
        out.print(f"The database holds {summary.used_after:,} bytes, before it held {summary.used_before:,}")
    if not summary.can_shrink:
        err.print("The file can't get shorter: docs/operations.md says how to mend it", style="yellow")


def _plain(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
