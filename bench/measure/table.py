"""Shows what was measured: tables for people, on a terminal or a pipe. Must not know how it was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]

NOTHING = "-"
WIDTH = 260
MEBIBYTE = 1 << 20


def number(name: str, form: str, factor: float = 1) -> Callable[[Row], str]:
    """A cell with one value; what is not known is a dash."""

    def cell(row: Row) -> str:
        value = row.get(name)
        return NOTHING if value is None else format(value * factor, form)

    return cell


def arrived(row: Row) -> str:
    """Bytes that the client had, of those that the upstream sent."""
    missing = row["bytes_sent"] - row["bytes_received"]
    return "all" if not missing else f"{-missing:+,}"


def reported(row: Row) -> str:
    """Reports, of the requests."""
    if row["reports"] is None:
        return NOTHING
    return "all" if row["reports"] == row["requests"] else f"{row['reports']:,} of {row['requests']:,}"


def failed(row: Row) -> str:
    """Replies with another status, other bytes or none at all."""
    return format(row["failed"] + row["wrong"], ",")


CPU: list[Column] = [("CPU × plain", number("cpu_ratio", ".2f")), ("CPU added", number("cpu_added", "+.1f", 1e6))]
CHECKS: list[Column] = [
    ("requests", number("requests", ",")),
    ("bytes", arrived),
    ("truncated", number("truncated", ",")),
    ("failed", failed),
    ("reports", reported),
]
CALLS: list[Column] = [
    ("CPU µs/request", number("cpu", ".1f", 1e6)),
    *CPU,
    ("requests/s", number("rps", ",.0f")),
    ("rate × plain", number("rps_ratio", ".2f")),
    ("p50 ms", number("p50", ".3f", 1e3)),
    ("p50 added", number("p50_added", "+.3f", 1e3)),
    ("p99", number("p99", ".2f", 1e3)),
    ("p99 added", number("p99_added", "+.2f", 1e3)),
    *CHECKS,
]
STREAMS: list[Column] = [
    ("CPU µs/event", number("cpu", ".1f", 1e6)),
    *CPU,
    ("CPU µs/chunk", number("cpu_chunk", ".1f", 1e6)),
    ("chunk added", number("cpu_chunk_added", "+.1f", 1e6)),
    ("chunks", number("pieces", ".0f")),
    ("streams/s", number("rps", ",.0f")),
    ("p50 ms", number("p50", ",.1f", 1e3)),
    ("p50 × plain", number("p50_ratio", ".2f")),
    ("p99", number("p99", ",.1f", 1e3)),
    ("TTFB p50 ms", number("first_p50", ".2f", 1e3)),
    ("TTFB added", number("first_p50_added", "+.2f", 1e3)),
    ("TTFB p99", number("first_p99", ".1f", 1e3)),
    ("lag p50 ms", number("lag_p50", ".2f", 1e3)),
    ("lag p99", number("lag_p99", ".1f", 1e3)),
    *CHECKS,
]
SENDER: list[Column] = [
    *CALLS,
    ("bytes/report", number("wire", ",.0f")),
    ("reports/batch", number("batch", ".0f")),
]
MEMORY: list[Column] = [
    ("requests", number("requests", ",")),
    ("RSS at first, MB", number("rss_idle", ".0f", 1 / MEBIBYTE)),
    ("RSS after the load", number("rss", ".0f", 1 / MEBIBYTE)),
    ("RSS peak", number("rss_peak", ".0f", 1 / MEBIBYTE)),
]
DEAD: list[Column] = [
    ("minutes", number("minutes", ".2f")),
    ("requests", number("requests", ",")),
    ("finished", number("finished", ",")),
    ("RSS at first, MB", number("rss_start", ".0f", 1 / MEBIBYTE)),
    ("RSS end", number("rss_end", ".0f", 1 / MEBIBYTE)),
    ("RSS peak", number("rss_peak", ".0f", 1 / MEBIBYTE)),
    ("RSS grown", number("rss_grown", "+.0f", 1 / MEBIBYTE)),
    *(
        column
        for what in ("goroutines", "files")
        for column in (
            (f"{what} at first", number(f"{what}_start", ",")),
            (f"{what} end", number(f"{what}_end", ",")),
            (f"{what} peak", number(f"{what}_peak", ",")),
        )
    ),
]
ENDS: list[Column] = [
    ("spool", lambda row: "yes" if row["spool"] else "no"),
    ("ended after s", number("seconds", ".2f")),
    ("calls finished", number("finished", ",")),
    ("reported", number("delivered", ",")),
    ("by the next process", number("delivered_later", ",")),
    ("lost", number("lost", ",")),
    ("of the last flush interval", number("lost_last_interval", ",")),
    ("older", number("lost_older", ",")),
    ("finished ms before", number("lost_oldest", ".0f", 1e3)),
]


def console() -> Console:
    """Wide enough for whole lines on a pipe, where a terminal would scroll or wrap."""
    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=WIDTH, color_system=None)


def show(out: Console, title: str, columns: Sequence[Column], rows: Mapping[str, Row]) -> None:
    """One table; on a narrow terminal several, one below the other."""
    if out.is_terminal:
        out.print(f"[bold]{title}[/bold]")
        for part in fitting(out.width, columns, rows):
            out.print(table(part, rows, box.SIMPLE_HEAD))
        return
    with out.capture() as plain:
        out.print(table(columns, rows, None))
    print(title, *(line.rstrip() for line in plain.get().splitlines()), "", sep="\n", flush=True)


def table(columns: Sequence[Column], rows: Mapping[str, Row], lines: box.Box | None) -> Table:
    drawn = Table(box=lines)
    drawn.add_column("", no_wrap=True)
    for heading, _ in columns:
        drawn.add_column(heading, justify="right", no_wrap=True)
    for name, row in rows.items():
        drawn.add_row(name, *(cell(row) for _, cell in columns))
    return drawn


def fitting(width: int, columns: Sequence[Column], rows: Mapping[str, Row]) -> Iterator[list[Column]]:
    """As many columns at a time as the width has room for beside the names of the rows."""
    names = max(map(len, rows)) + 4
    part: list[Column] = []
    used = names
    for column in columns:
        heading, cell = column
        needed = max(len(heading), *(len(cell(row)) for row in rows.values())) + 3
        if part and used + needed > width:
            yield part
            part, used = [], names
        part.append(column)
        used += needed
    yield part
