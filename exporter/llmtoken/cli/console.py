"""Where commands print: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import re
import sys
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn

_UNFOLDED = 1000
"""Columns where nobody reads the lines on a screen: a program that reads them wants them whole."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else _UNFOLDED)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _UNFOLDED)


def bars(*behind: ProgressColumn) -> Progress:
    """Bars with these columns behind them on a terminal, gone when they are done; nothing anywhere else."""
    columns = (TextColumn("{task.description}"), BarColumn(), *behind)
    return Progress(*columns, console=err, disable=not err.is_terminal, transient=True)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Text that came from clients and model servers, without what could steer the terminal that shows it.

    Line feeds and tabs stay; other control characters, and those that turn the direction of text, become U+FFFD.
    """
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


def print_json(value: Any) -> None:
    """Print a value for programs, exactly: what could steer a terminal is written as JSON's escapes."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.write(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
