"""The start page's numbers and charts: how much, by whom, which models, what it cost, over some days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from llmtoken.audit import Filter, Reader
from llmtoken.browse.charts import Series, bars, columns, short

SPANS = (7, 30, 90, 365)
"""Days that can be looked at."""
_MOST = 8
"""Bars of a chart."""

Row = dict[str, Any]


def overview(reader: Reader, days: int, *, now: datetime | None = None) -> dict[str, Any]:
    """What the page's template takes. Reads the database, so not on the event loop."""
    today = (now or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=days - 1)
    which = Filter(since=since)
    by_day = {row["day"]: row for row in reader.usage(which, ["day"])}
    dates = [(since + timedelta(days=number)).date().isoformat() for number in range(days)]
    return {
        "days": days,
        "spans": SPANS,
        "tiles": _tiles(list(by_day.values())),
        "tokens": columns(dates, [_series(by_day, dates, name) for name in ("input_tokens", "output_tokens")]),
        "cost": columns(dates, [Series("cost", [_dollars(by_day.get(day)) for day in dates])], unit=" $"),
        "errors": columns(dates, [_series(by_day, dates, "errors")]),
        "models": _largest(reader.usage(which, ["model"]), "model"),
        "consumers": _largest(reader.usage(which, ["consumer"]), "consumer"),
    }


def _tiles(days: list[Row]) -> list[dict[str, str]]:
    """The sums, and what share of the calls is not as one would wish."""

    def total(name: str) -> int | None:
        known = [row[name] for row in days if row[name] is not None]
        return sum(known) if known else None

    calls, unpriced, estimated = total("calls") or 0, total("unpriced_calls"), total("estimated_calls")
    costs = [Decimal(row["cost"]) for row in days if row["cost"] is not None]
    cost = sum(costs) if costs else None
    tokens_in, tokens_out = total("input_tokens"), total("output_tokens")
    cached, thought = total("cache_read_input_tokens"), total("reasoning_output_tokens")
    return [
        {"name": "calls", "value": f"{calls:,}", "note": _share(total("errors"), calls, "failed")},
        {"name": "tokens in", "value": short(tokens_in), "note": _share(cached, tokens_in, "read from caches")},
        {"name": "tokens out", "value": short(tokens_out), "note": _share(thought, tokens_out, "reasoning")},
        {
            "name": "cost",
            "value": "–" if cost is None else f"${cost:,.2f}",  # noqa: RUF001 - a dash
            "note": f"{unpriced:,} calls have no known price" if unpriced else "",
        },
        {
            "name": "estimated",
            "value": f"{100 * (estimated or 0) / calls:.1f} %" if calls else "–",  # noqa: RUF001
            "note": "calls whose tokens we counted ourselves",
        },
    ]


def _share(part: int | None, whole: int | None, what: str) -> str:
    return f"{100 * (part or 0) / whole:.1f} % {what}" if whole else ""


def _series(by_day: dict[str, Row], dates: list[str], name: str) -> Series:
    return Series(name.replace("_", " "), [by_day[day][name] if day in by_day else None for day in dates])


def _dollars(row: Row | None) -> float | None:
    return float(row["cost"]) if row and row["cost"] is not None else None


def _largest(rows: list[Row], name: str) -> Any:
    rows = sorted(rows, key=lambda row: row["total_tokens"] or 0, reverse=True)[:_MOST]
    labels = [row[name] or "(unknown)" for row in rows]
    return bars(labels, [row["total_tokens"] for row in rows], unit=" tokens")
