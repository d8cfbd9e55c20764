"""`llmtoken audit list` and `llmtoken audit usage`: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.table import Column, Table
from rich.text import Text

from llmtoken.cli.console import out, print_json, printable
from llmtoken.cli.records import Given, records
from llmtoken.config import Settings
from llmtoken.export import csv_line

As = Literal["table", "json", "csv"]
Row = Mapping[str, Any]

_SUMS = (
    *("calls", "errors", "input_tokens", "output_tokens", "total_tokens"),
    *("estimated_calls", "cost", "unpriced_calls"),
)
"""Columns of a table of usage behind its groups; JSON and CSV have all."""


def list_calls(settings: Settings, given: Given, *, url: str | None, limit: int, cursor: str | None, form: As) -> None:
    """Print a page of the calls that fit, newest first. Raises our own errors."""
    with records(settings, url) as source:
        page = source.list(given, limit, cursor)
    calls: list[Row] = page["calls"]
    if form == "json":
        print_json(page)
    elif form == "csv":
        _csv(calls)
    else:
        _calls(calls)
        if page["next_cursor"] is not None:
            out.print(Text(f"More: --cursor {page['next_cursor']}", style="dim"), soft_wrap=True)


def usage(settings: Settings, given: Given, *, url: str | None, group_by: str, form: As) -> None:
    """Print what the calls that fit add up to. Raises our own errors."""
    with records(settings, url) as source:
        rows = source.usage(given, group_by)
    if form == "json":
        print_json({"usage": rows})
    elif form == "csv":
        _csv(rows)
    else:
        _usage(rows)


def _csv(rows: Sequence[Row]) -> None:
    """All columns; nothing at all where there is no row to name them."""
    if rows:
        sys.stdout.write(csv_line(map(str, rows[0])))
        sys.stdout.writelines(csv_line(row.values()) for row in rows)


def _calls(calls: Sequence[Row]) -> None:
    if not calls:
        out.print("No call fits.")
        return
    numbers = (Column(name, justify="right") for name in ("in", "out", "dollars", "seconds"))
    table = Table(
        Column("started", no_wrap=True),
        Column("call", overflow="fold"),
        "consumer",
        Column("model", overflow="fold"),
        "status",
        *numbers,
        "counted by",
        box=None,
        header_style="bold",
    )
    for call in calls:
        table.add_row(
            call["started_at"][:19].replace("T", " "),
            *map(_text, (call["request_id"], call["consumer"], call["response_model"] or call["request_model"])),
            _status(call),
            *(_number(call[name]) for name in ("input_tokens", "output_tokens")),
            call["cost"] or "-",
            "-" if call["duration"] is None else f"{call['duration']:.2f}",
            {"reported": "provider", "unknown": "nobody"}.get(call["usage_source"], f"us, {call['usage_source']}"),
        )
    out.print(table)


def _status(call: Row) -> Text:
    """The status, what went wrong, and who broke it off."""
    broken = f"{call['aborted']} left" if call["aborted"] else None
    said = " ".join(filter(None, (str(call["http_status"] or "-"), call["error_type"], broken)))
    return Text(printable(said), style="red" if call["error_type"] or broken else "")


def _usage(rows: Sequence[Row]) -> None:
    groups = [name for name in rows[0] if name not in (*_SUMS, *_PARTS)] if rows else []
    heads = [Column(name.replace("_", " "), overflow="fold") for name in groups]
    numbers = [Column(name.replace("_", " "), justify="right") for name in _SUMS]
    table = Table(*heads, *numbers, box=None, header_style="bold")
    for row in rows:
        table.add_row(*(_text(row[name]) for name in groups), *(_number(row[name]) for name in _SUMS))
    if rows:
        out.print(table)
    else:
        out.print("No call fits.")


_PARTS = frozenset(
    (
        *("cache_read_input_tokens", "cache_write_input_tokens", "reasoning_output_tokens"),
        *("input_audio_tokens", "output_audio_tokens"),
    )
)
"""What else a row of usage adds up, which a table has no room for."""


def _text(value: Any) -> Text:
    return Text("-" if value is None else printable(str(value)))


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
