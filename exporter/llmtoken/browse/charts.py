"""Small charts as SVG within the page: columns over time, and bars by size.

They need no script and no file. Places across are percentages, so a chart fits any width while
its text keeps its size; colours are the style sheet's (`--series-1`, …), so they follow light and dark.
Must not know where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup, escape

_HEIGHT, _TOP, _BOTTOM = 200, 14, 24
"""Pixels of a column chart, and of its margins."""
_ROW = 40
"""Pixels of a bar with its label above."""
_FEW = 3
"""Labels below columns that have room on a phone."""


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one kind, one for each label; `None` draws nothing."""

    name: str
    values: Sequence[float | None]


def columns(labels: Sequence[str], series: Sequence[Series], *, unit: str = "") -> Markup:
    """A column for each label, the series on top of each other."""
    totals = [sum(each.values[index] or 0 for each in series) for index in range(len(labels))]
    top = _round_up(max(totals, default=0))
    if not top:
        return Markup('<p class="nothing">Nothing to draw yet.</p>')
    parts = [_grid(top, unit)]
    width = 100 / len(labels)
    for index, label in enumerate(labels):
        height = 0.0
        marks = []
        for number, each in enumerate(series, 1):
            size = (each.values[index] or 0) / top * (_HEIGHT - _TOP - _BOTTOM)
            marks.append(
                Markup('<rect class="series-{}" x="{:.3f}%" width="{:.3f}%" y="{:.1f}" height="{:.1f}"/>').format(
                    number, index * width + width * 0.12, width * 0.76, _HEIGHT - _BOTTOM - height - size, size
                )
            )
            height += size
        said = ", ".join(f"{each.name} {short(each.values[index])}{unit}" for each in series)
        hit = Markup('<rect class="hit" x="{:.3f}%" width="{:.3f}%" y="0" height="{}"/>')
        whole = Markup("").join([*marks, hit.format(index * width, width, _HEIGHT - _BOTTOM)])
        parts.append(Markup("<g><title>{}: {}</title>{}</g>").format(label, said, whole))
    parts.extend(_labels(labels, width))
    return _svg(_HEIGHT, "columns", parts) + _legend(series)


def bars(labels: Sequence[str], values: Sequence[float | None], *, unit: str = "") -> Markup:
    """A bar for each label, the label above it and the number behind that."""
    most = max((value or 0 for value in values), default=0)
    if not most:
        return Markup('<p class="nothing">Nothing to draw yet.</p>')
    parts = []
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = index * _ROW
        parts.append(
            Markup(
                '<g><title>{0}: {1}{2}</title><text x="0" y="{3}">{4}</text>'
                '<text class="number" x="100%" y="{3}" text-anchor="end">{1}{2}</text>'
                '<rect class="track" x="0" y="{5}" width="100%" height="8" rx="4"/>'
                '<rect class="series-1" x="0" y="{5}" width="{6:.3f}%" height="8" rx="4"/></g>'
            ).format(label, short(value), unit, y + 15, _cut(label), y + 22, max((value or 0) / most * 100, 0.5))
        )
    return _svg(_ROW * len(labels), "bars", parts)


def short(value: float | None) -> str:
    """A number for a glance: 1.2M; a dash where nobody knows."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _cut(label: str, most: int = 27) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def _round_up(value: float) -> float:
    """The next number that reads well: 1, 2 or 5 and zeros."""
    if value <= 0:
        return 0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _grid(top: float, unit: str) -> Markup:
    lines = []
    for share in (0, 0.5, 1):
        y = _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
        lines.append(
            Markup('<line x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/><text x="0" y="{1:.1f}">{2}</text>').format(
                y, y - 4, f"{short(top * share)}{unit}" if share else ""
            )
        )
    return Markup('<g class="grid">{}</g>').format(Markup("").join(lines))


def _labels(labels: Sequence[str], width: float) -> list[Markup]:
    """As many as have room, always the first."""
    step = max(1, ceil(len(labels) / _FEW))
    text = Markup('<text class="label" x="{:.3f}%" y="{}" text-anchor="{}">{}</text>')
    found = []
    for index in range(0, len(labels), step):
        centre = index * width + width / 2
        anchor = "start" if centre < 10 else "end" if centre > 90 else "middle"  # noqa: PLR2004 - per cent
        place = {"start": index * width, "end": (index + 1) * width}.get(anchor, centre)
        found.append(text.format(place, _HEIGHT - 6, anchor, labels[index]))
    return found


def _legend(series: Sequence[Series]) -> Markup:
    if len(series) < 2:  # noqa: PLR2004 - one needs none
        return Markup("")
    entries = (
        Markup('<li><i class="series-{}"></i>{}</li>').format(number, each.name)
        for number, each in enumerate(series, 1)
    )
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(entries))


def _svg(height: int, kind: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart {}" width="100%" height="{}" role="img">{}</svg>').format(
        escape(kind), height, Markup("").join(parts)
    )
