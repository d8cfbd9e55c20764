"""`llmtoken prices`: which price a call to a model would get, by the configuration and the list."""

from __future__ import annotations

import json
from datetime import datetime

from rich.table import Column, Table

from llmtoken import pricing
from llmtoken.cli.console import err, out
from llmtoken.config import Settings


def show(settings: Settings, model: str, provider: str | None, *, at: datetime, as_json: bool) -> bool:
    """Print the price of a model at each provider that has one, or at this one. Returns whether there is any."""
    found = pricing.offers(model, at, provider=provider, own=settings.prices)
    if as_json:
        rows = [
            {
                "provider": each.provider,
                "version": each.version,
                "rates": {name: str(rate) for name, rate in each.rates},
            }
            for each in found
        ]
        out.print_json(json.dumps(rows))
    elif found:
        table = Table("provider", Column("price", overflow="fold"), Column("US dollars", overflow="fold"))
        for each in found:
            table.add_row(each.provider, each.version, "\n".join(f"{rate} {name}" for name, rate in each.rates))
        out.print(table)
    else:
        err.print(f"Nobody knows a price of {model}. See `prices` in docs/configuration.md.", style="yellow")
    return bool(found)
