"""Where commands print: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys

from rich.console import Console

_UNFOLDED = 1000
"""Columns where nobody reads the lines on a screen: a program that reads them wants them whole."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else _UNFOLDED)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _UNFOLDED)
