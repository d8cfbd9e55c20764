"""`llmtoken audit …`: looking after the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal

from rich.table import Column, Table

from llmtoken import audit
from llmtoken.audit import Balance
from llmtoken.cli.console import err, out
from llmtoken.cli.seals import show as show_seals
from llmtoken.config import Settings


def verify(settings: Settings, *, heads: Sequence[str], as_json: bool) -> bool:
    """Hold counters against rows and rows against seals, and print what was found; true when all agree."""
    with err.status("Reading every call …"), audit.open_read_only(settings.database) as reader:
        balance = reader.verify()
        proof = reader.verify_seals(settings.seal_keys, heads)
    if as_json:
        seals = {"whole": proof.whole, **asdict(proof)}
        # What somebody has put there may be of any type.
        out.print_json(json.dumps({"balanced": balance.balanced, **asdict(balance), "seals": seals}, default=str))
    else:
        _show(balance)
        show_seals(proof)
    return balance.balanced and proof.whole


def _show(balance: Balance) -> None:
    if balance.balanced:
        out.print("[green]Every counter, and every sum of a day, is that of the rows that it counts.[/green]")
    if balance.differences:
        table = Table("collector", Column("labels", overflow="fold"), "what", "counter", "rows")
        for each in balance.differences:
            labels = ", ".join(f"{name}={value}" for name, value in each.labels.items())
            table.add_row(each.instance, labels, each.name, each.counter or "", each.rows or "")
        out.print(table)
        out.print(f"[red]{len(balance.differences)} counters differ from the rows that they count.[/red]")
    if balance.rollup_differences:
        table = Table("table", "day", Column("group", overflow="fold"), "what", "kept", "rows")
        for sums in balance.rollup_differences:
            group = ", ".join(f"{name}={value}" for name, value in sums.group.items() if value is not None)
            table.add_row(sums.table, sums.day, group, sums.name, sums.kept or "", sums.rows or "")
        out.print(table)
        out.print(f"[red]{len(balance.rollup_differences)} sums of days differ from the rows that they count.[/red]")
    collectors = f"{balance.instances} collector{'s' * (balance.instances != 1)}"
    out.print(
        f"{balance.calls:,} calls and {balance.pruned:,} pruned ones in {balance.series:,} series of {collectors}"
    )
    if repriced := Decimal(balance.repriced):
        out.print(f"Repricing changed the rows by {repriced:+f} USD since; the counters keep what they counted")
    if balance.uncounted:
        out.print(f"{balance.uncounted:,} calls are from before counters were kept, and are in none")
