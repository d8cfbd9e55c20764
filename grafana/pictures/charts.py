"""Draws what has axes: lines and stacks over time, heatmaps, and bars of a distribution."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator

from grafana.asking import Answer
from grafana.pictures.looks import SERIES, Look
from grafana.pictures.units import written

FONT = 8.5
_WIDEST = 120
"""Characters of legends that fit under half a page."""


@dataclass(frozen=True, slots=True)
class Line:
    """A series with its legend, by moments."""

    legend: str
    times: list[float]
    values: list[float]

    @property
    def moments(self) -> list[Any]:
        """The times as matplotlib takes them."""
        return [datetime.fromtimestamp(time, UTC) for time in self.times]


def over_time(axes: Axes, panel: Mapping[str, Any], answers: Sequence[Answer], look: Look) -> None:
    """Lines, stacked lines or stacked bars."""
    fields = panel["fieldConfig"]
    custom = fields["defaults"]["custom"]
    aside = _aside(panel)
    found = [line for answer in answers for line in _lines(answer)]
    lines = sorted((line for line in found if line.legend not in aside), key=lambda line: -math.fsum(line.values))
    if custom.get("stacking", {}).get("mode", "none") == "normal":
        alignment = {-1: -1.0, 0: -0.5, 1: 0.0}[custom.get("barAlignment", 0)]
        _stack(axes, lines, answers[0].step, begin=alignment if custom.get("drawStyle") == "bars" else None)
    else:
        for line, color in zip(lines, _colors(), strict=False):
            _line(axes, line, max(answers[0].step, (custom.get("spanNulls") or 0) / 1000), color)
    for line in found:
        if line.legend in aside:
            color = look.red if aside[line.legend]["color"]["fixedColor"] == "red" else SERIES[0]
            _line(axes, line, answers[0].step, color, dashed="custom.lineStyle" in aside[line.legend])
    _time_axis(axes, answers[0], look)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, fields["defaults"]["unit"])))
    most = max((value for line in found for value in line.values), default=0)
    top = fields["defaults"].get("max") or (axes.get_ylim()[1] if most > 0 else 1)
    axes.set_ylim(fields["defaults"]["min"], top)
    _legend(axes, look, _WIDEST * panel["gridPos"]["w"] // 12)


def heat(axes: Axes, panel: Mapping[str, Any], answers: Sequence[Answer], look: Look) -> None:
    """How many fell into each bucket, as far up and down as any did."""
    (answer,) = answers
    buckets = sorted(answer.series, key=lambda series: float(series.labels["le"]))
    times = sorted({time for series in buckets for time in series.values})
    rows = [
        [above.values.get(time, 0) - (below.values.get(time, 0) if below else 0) for time in times]
        for below, above in pairwise([None, *buckets])
    ]
    used = [place for place, row in enumerate(rows) if max(row) > 0]
    first, last = max(0, used[0] - 1), min(len(rows) - 1, used[-1] + 1)
    shown = [[cell if cell > 0 else math.nan for cell in row] for row in rows[first : last + 1]]
    most = max(cell for row in rows for cell in row)
    edges = [datetime.fromtimestamp(time - answer.step, UTC) for time in [*times, times[-1] + answer.step]]
    axes.pcolormesh(
        edges,
        range(first, last + 2),
        shown,
        cmap=LinearSegmentedColormap.from_list("heat", look.heat),
        norm=PowerNorm(0.5, 0, most),
        edgecolor=look.panel,
        linewidth=0.4,
    )
    unit = panel["options"]["yAxis"]["unit"]
    every = max(1, round((last - first + 1) / 7))
    places = range(first, last + 1, every)
    axes.set_yticks([place + 1 for place in places], [_bound(buckets[place].labels["le"], unit) for place in places])
    _time_axis(axes, answer, look)
    axes.grid(visible=False)
    axes.set_ylim(first, last + 1)


def distribution(axes: Axes, answers: Sequence[Answer], look: Look) -> None:
    """A bar for each bucket, as far as any is used."""
    (answer,) = answers
    buckets = sorted(answer.series, key=lambda series: float(series.labels["le"]))
    heights = [above.last - (below.last if below else 0) for below, above in pairwise([None, *buckets])]
    used = [place for place, height in enumerate(heights) if height > 0.5]
    places = range(max(0, used[0] - 1), min(len(heights), used[-1] + 2))
    axes.bar([*places], [heights[place] for place in places], color=look.bar, width=0.8)
    for place in places:
        axes.annotate(
            written(round(heights[place]), "short"), (place, heights[place]), (0, 2), textcoords="offset points",
            ha="center", va="bottom", color=look.text, fontsize=FONT,
        )  # fmt: skip
    axes.set_xticks([*places], [_bound(buckets[place].labels["le"], "short") for place in places])
    axes.set_yticks([])
    axes.margins(y=0.15)


def _stack(axes: Axes, lines: Sequence[Line], step: float, begin: float | None) -> None:
    """Areas, or bars that begin so many steps from their time."""
    times = sorted({time for line in lines for time in line.times})
    below = [0.0] * len(times)
    for line, color in zip(lines, _colors(), strict=False):
        of = dict(zip(line.times, line.values, strict=True))
        above = [base + of.get(time, 0) for base, time in zip(below, times, strict=True)]
        moments = [datetime.fromtimestamp(time + (begin or 0) * step, UTC) for time in times]
        if begin is not None:
            heights = [of.get(time, 0) for time in times]
            width = step / 86400 * 0.8
            axes.bar(moments, heights, width, below, align="edge", color=color, alpha=0.85, label=line.legend)
        else:
            axes.fill_between(moments, below, above, color=color, alpha=0.35, linewidth=0)
            axes.plot(moments, above, color=color, linewidth=1.1, label=line.legend)
        below = above


def _line(axes: Axes, line: Line, apart: float, color: str, *, dashed: bool = False) -> None:
    """With gaps where there was nothing for so long, and points where a line can't be seen."""
    parts: list[Line] = []
    for time, value in zip(line.times, line.values, strict=True):
        if not parts or time - parts[-1].times[-1] > apart * 1.5:
            parts.append(Line(line.legend, [], []))
        parts[-1].times.append(time)
        parts[-1].values.append(value)
    for place, part in enumerate(parts):
        axes.plot(
            part.moments,
            part.values,
            color=color,
            linewidth=1.3,
            linestyle="--" if dashed else "-",
            marker="o" if len(part.times) == 1 else "",
            markersize=2.6,
            label=line.legend if place == 0 else None,
        )


def _lines(answer: Answer) -> Iterator[Line]:
    for series in answer.series:
        times = sorted(series.values)
        if times:
            legend = _legend_of(answer.target.get("legendFormat", ""), series.labels)
            yield Line(legend, times, [series.values[time] for time in times])


def _legend_of(text: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), text).strip()


def _bound(bound: str, unit: str) -> str:
    return "∞" if bound == "+Inf" else written(float(bound), unit)


def _colors() -> Iterator[str]:
    while True:
        yield from SERIES


def _time_axis(axes: Axes, answer: Answer, look: Look) -> None:
    start, end = (datetime.fromtimestamp(time, UTC) for time in (answer.time.start, answer.time.end))
    axes.set_xlim(start, end)  # type: ignore[arg-type]
    days = answer.time.end - answer.time.start > 3 * 86400
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=4, maxticks=8, tz=UTC))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%m-%d" if days else "%H:%M", tz=UTC))
    axes.grid(visible=True, color=look.grid, linewidth=0.8)
    axes.set_axisbelow(True)


def _legend(axes: Axes, look: Look, room: int) -> None:
    """Two lines at most, of so many characters."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    longest = max(map(len, labels)) + 6
    columns = max(1, min(len(labels), room // longest))
    axes.legend(
        handles[: columns * 2], labels[: columns * 2], loc="upper left", bbox_to_anchor=(-0.02, -0.1), ncols=columns,
        frameon=False, fontsize=FONT, labelcolor=look.text, handlelength=1.2, columnspacing=1.4, borderaxespad=0,
    )  # fmt: skip


def has_values(panel: Mapping[str, Any], answers: Sequence[Answer]) -> bool:
    """Whether there is anything to draw but what stands beside it."""
    aside = _aside(panel)
    found = [series for answer in answers if answer.target.get("legendFormat") not in aside for series in answer.series]
    return any(series.values for series in found)


def _aside(panel: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The looks of the lines that have one of their own, by their legends."""
    return {
        override["matcher"]["options"]: {value["id"]: value["value"] for value in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
