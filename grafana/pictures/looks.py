"""Colours and sizes of the pictures, near to Grafana's own. Must not know panels."""

from __future__ import annotations

from dataclasses import dataclass

COLUMN, ROW, GAP = 66.0, 36.0, 8.0
"""Pixels of a column and a row of the grid, and between two panels."""

DPI = 100

SERIES = (
    "#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#b877d9", "#37872d", "#8ab8ff", "#ffb357", "#ca95e5", "#e0b400",
)  # fmt: skip
"""Colours of the series, in their order; red means bad and is not among them."""


@dataclass(frozen=True, slots=True)
class Look:
    """A theme."""

    page: str
    panel: str
    border: str
    text: str
    faint: str
    grid: str
    red: str
    bar: str
    heat: tuple[str, str, str]
    """From a few to many."""


LOOKS = {
    "dark": Look(
        "#111217", "#181b1f", "#2a2d33", "#d5d6dd", "#9a9ca6", "#2b2e34", "#f2495c", "#5794f2",
        ("#1d2f4d", "#3a78c9", "#d7e6ff"),
    ),
    "light": Look(
        "#f4f5f5", "#ffffff", "#dfe0e3", "#24292e", "#5f6772", "#ececef", "#d62839", "#3274d9",
        ("#dbe9fb", "#5f9be8", "#12376e"),
    ),
}  # fmt: skip
