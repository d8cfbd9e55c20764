"""`llmtoken audit reprice`: the difference first, the question, the progress bar, the account and the log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from llmtoken import audit, pricing
from llmtoken.audit import Advanced, Filter, Repriced, Repricing
from llmtoken.cli.console import err, out
from llmtoken.config import Settings
from llmtoken.errors import QueryError
from llmtoken.totals import difference, plus_cost

_SHOWN = 100
"""Rows of the log that are shown, the newest."""


def reprice(settings: Settings, which: Filter, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show what the prices of today would change, ask, and change it. Raises `QueryError` when nobody can be asked."""

    def price(row: Any) -> tuple[Decimal, str] | None:
        found = pricing.price_of_call(row, settings.prices)
        return (found.amount, found.version) if found else None

    with audit.open_beside(settings.database, seal_keys=settings.seal_keys) as editor:
        if not dry_run:
            editor.require_seal_key()  # before anybody is asked
        with _bar("Looking at") as advanced:
            found = editor.preview_prices(which, price, advanced=advanced)
        changed = None
        if not dry_run and found.calls and (yes or _agreed(found)):
            with _bar("Correcting") as advanced:
                changed = editor.reprice(which, price, advanced=advanced)
    if as_json:
        out.print_json(json.dumps(_plain(changed or found, changed=changed is not None), default=_text))
    elif changed is not None:
        if yes:
            _show(changed)
        out.print(f"{changed.calls:,} calls corrected. Counters keep what they counted; `llmtoken audit verify` knows.")
    else:
        if dry_run or not found.calls:
            _show(found)
        out.print("Nothing was changed.")


def show_log(settings: Settings, *, as_json: bool) -> None:
    """Print what was corrected so far."""
    with audit.open_read_only(settings.database) as reader:
        rows = reader.repricings(_SHOWN)
    if as_json:
        out.print_json(json.dumps([asdict(row) for row in rows], default=_text))
    elif rows:
        out.print(_table(rows))
    else:
        out.print("Nothing was corrected yet.")


def _agreed(found: Repricing) -> bool:
    if not sys.stdin.isatty():
        raise QueryError(
            f"{found.calls:,} calls would cost something else, and there is nobody to ask",
            hint="look at it with --dry-run, then say --yes; nothing was changed",
        )
    _show(found)
    return typer.confirm("Correct them?", err=True)


@contextmanager
def _bar(what: str) -> Iterator[Advanced | None]:
    """A bar on a terminal; nothing anywhere else."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        task = progress.add_task(what)
        yield ((lambda at: progress.update(task, completed=at.looked_at, total=at.total)) if err.is_terminal else None)


def _show(found: Repricing) -> None:
    if found.changes:
        out.print(_table(found.changes))
    out.print(f"{found.looked_at:,} calls looked at, {found.calls:,} cost something else by the prices of today")


def _table(rows: Sequence[Repriced]) -> Table:
    table = Table("provider", *(Column(name, overflow="fold") for name in ("model", "old price", "new price")))
    for name in ("calls", "old USD", "new USD", "difference"):
        table.add_column(name, justify="right")
    table.show_footer = True
    for row in rows:
        table.add_row(
            row.provider_name or "",
            row.model or "",
            row.old_version or "none",
            row.new_version or "none",
            f"{row.calls:,}",
            _amount(row.old_cost),
            _amount(row.new_cost),
            f"{difference(row.old_cost, row.new_cost):+f}",
        )
    old, new = _sum([row.old_cost for row in rows]), _sum([row.new_cost for row in rows])
    footer = ["", "all", "", "", f"{sum(row.calls for row in rows):,}", _amount(old), _amount(new)]
    for column, text in zip(table.columns, [*footer, f"{difference(old, new):+f}"], strict=True):
        column.footer = text
    return table


def _plain(found: Repricing, *, changed: bool) -> dict[str, Any]:
    rows = [asdict(row) for row in found.changes]
    for row in rows:
        del row["began_at"], row["ended_at"]  # of the log alone
    return {
        "changed": changed,
        "looked_at": found.looked_at,
        "calls": found.calls,
        "old_cost": _sum([row.old_cost for row in found.changes]),
        "new_cost": _sum([row.new_cost for row in found.changes]),
        "changes": rows,
    }


def _sum(costs: Sequence[Decimal | None]) -> Decimal | None:
    total: Decimal | None = None
    for cost in costs:
        total = plus_cost(total, cost)
    return total


def _amount(cost: Decimal | None) -> str:
    return "" if cost is None else f"{cost:f}"


def _text(value: Any) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else f"{value:f}"
