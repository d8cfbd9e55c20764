"""Draws a dashboard: every panel where its grid says, with title, unit, legend and what its queries gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from grafana.asking import Answer
from grafana.pictures import charts
from grafana.pictures.looks import COLUMN, DPI, GAP, ROW, Look
from grafana.pictures.units import written

Ask = Callable[[Mapping[str, Any]], Sequence[Answer]]

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""

_TITLE = 30
"""Pixels of a panel's title."""

_HEAD = 46
"""Pixels of the dashboard's title."""


def draw(dashboard: Mapping[str, Any], ask: Ask, look: Look, file: Path) -> None:
    """Draw it into a PNG; `ask` answers a panel's queries."""
    panels = dashboard["panels"]
    width = 24 * COLUMN + GAP
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW + _HEAD + GAP
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=look.page)
    page = figure.add_axes((0, 0, 1, 1))
    page.set_xlim(0, width)
    page.set_ylim(height, 0)
    page.axis("off")
    page.text(GAP * 1.5, _HEAD / 2 + 3, dashboard["title"], color=look.text, fontsize=13, va="center", weight="bold")
    for panel in panels:
        place = panel["gridPos"]
        left, top = place["x"] * COLUMN + GAP, place["y"] * ROW + _HEAD
        if panel["type"] == "row":
            page.text(left + 4, top + ROW / 2, f"▾ {panel['title']}", color=look.text, fontsize=10.5, va="center")
            continue
        box = (left, top, place["w"] * COLUMN - GAP, place["h"] * ROW - GAP)
        _box(page, box, look)
        page.text(left + 10, top + 16, panel["title"], color=look.text, fontsize=9, va="center", weight="bold")
        if panel.get("timeFrom") == "30d":
            right = left + place["w"] * COLUMN - GAP - 10
            page.text(right, top + 16, "Last 30 days", color=look.faint, fontsize=8, va="center", ha="right")
        answers = ask(panel)
        if panel["type"] == "stat":
            _number(page, box, panel, answers, look)
        elif not charts.has_values(panel, answers) and panel["type"] != "table":
            _words(page, box, panel["fieldConfig"]["defaults"]["noValue"], look.faint, 11)
        elif panel["type"] == "table":
            _table(page, box, panel, answers, look)
        else:
            _chart(page, box, panel, answers, look)
    drawn = BytesIO()
    figure.savefig(drawn)
    # A picture of flat areas loses nothing with few colours, and is a third of the size.
    Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        file, optimize=True
    )


def _box(page: Axes, box: Box, look: Look) -> None:
    left, top, width, height = box
    page.add_patch(
        FancyBboxPatch(
            (left, top),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=3",
            facecolor=look.panel,
            edgecolor=look.border,
            linewidth=1,
        )
    )


def _words(page: Axes, box: Box, words: str, color: str, size: float) -> None:
    left, top, width, height = box
    middle = top + _TITLE + (height - _TITLE) / 2 - 6
    page.text(left + width / 2, middle, words, color=color, fontsize=size, ha="center", va="center", weight="normal")


def _number(page: Axes, box: Box, panel: Mapping[str, Any], answers: Sequence[Answer], look: Look) -> None:
    fields = panel["fieldConfig"]["defaults"]
    found = [series.last for answer in answers for series in answer.series if series.values]
    if not found:
        _words(page, box, fields["noValue"], look.faint, 14)
        return
    steps = fields["thresholds"]["steps"]
    color = [step["color"] for step in steps if step.get("value") is None or found[0] >= step["value"]][-1]
    _words(page, box, written(found[0], fields["unit"]), look.red if color == "red" else look.text, 19)


def _table(page: Axes, box: Box, panel: Mapping[str, Any], answers: Sequence[Answer], look: Look) -> None:
    """Rows by the values of the labels, the first number's largest on top."""
    left, top, width, height = box
    organized = panel["transformations"][1]["options"]
    headings = organized["renameByName"]
    units = {
        override["matcher"]["options"]: value["value"]
        for override in panel["fieldConfig"]["overrides"]
        for value in override["properties"]
        if value["id"] == "unit"
    }
    names = sorted(headings, key=organized["indexByName"].__getitem__)
    labels = [name for name in names if not name.startswith("Value #")]
    rows: dict[tuple[str, ...], dict[str, float]] = {}
    for answer in answers:
        for series in answer.series:
            row = rows.setdefault(tuple(series.labels.get(label, "") for label in labels), {})
            row[f"Value #{answer.target['refId']}"] = series.last if series.values else float("nan")
    values = names[len(labels) :]
    weights = [1.7] * len(labels) + [1.0] * len(values)
    edges = [left + 12 + (width - 24) * sum(weights[:place]) / sum(weights) for place in range(len(weights) + 1)]

    def cell(place: int, y: float, text: str, color: str, weight: str = "normal") -> None:
        name = place < len(labels)
        x = edges[place] if name else edges[place + 1]
        page.text(x, y, text, color=color, fontsize=9, ha="left" if name else "right", va="center", weight=weight)

    line = 25.0
    for place, name in enumerate([*labels, *values]):
        cell(place, top + _TITLE + 14, headings[name], look.faint, "bold")
    ordered = sorted(rows.items(), key=lambda row: -row[1].get(values[0], 0))
    for number, (row_names, numbers) in enumerate(ordered[: int((height - _TITLE - 30) / line)]):
        y = top + _TITLE + 14 + line * (number + 1)
        page.plot([left + 10, left + width - 10], [y - line / 2] * 2, color=look.grid, linewidth=0.8)
        for place, text in enumerate(row_names):
            cell(place, y, text, look.bar)
        for place, name in enumerate(values, len(labels)):
            value = numbers.get(name, float("nan"))
            cell(place, y, "" if value != value else written(value, units[headings[name]]), look.text)  # noqa: PLR0124


def _chart(page: Axes, box: Box, panel: Mapping[str, Any], answers: Sequence[Answer], look: Look) -> None:
    left, top, width, height = box
    under = {"timeseries": 68, "heatmap": 30, "bargauge": 30}[panel["type"]]
    beside = 72 if panel["type"] != "bargauge" else 20
    inner = (left + beside, top + _TITLE + 8, width - beside - 16, height - _TITLE - under)
    wide, high = page.get_xlim()[1], page.get_ylim()[0]
    axes = page.figure.add_axes((inner[0] / wide, 1 - (inner[1] + inner[3]) / high, inner[2] / wide, inner[3] / high))
    axes.set_facecolor("none")
    axes.tick_params(colors=look.faint, labelsize=charts.FONT, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if panel["type"] == "timeseries":
        charts.over_time(axes, panel, answers, look)
    elif panel["type"] == "heatmap":
        charts.heat(axes, panel, answers, look)
    else:
        charts.distribution(axes, answers, look)
