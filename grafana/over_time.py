"""The kinds of panels that show something over time: lines, bars and heatmaps.

Owns their look; must not know what any of them shows.
"""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import common, heatmap, prometheus, timeseries
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.links import calls, calls_of_series
from grafana.panels import Placed, lettered, query, titled

OBJECTIVE = "objective"
"""The legend of a line that says what should be, not what is."""

NOTHING = "nothing"
"""The legend of the line at 0 while none of the events happens that have a bar each."""

_POINTS, _COLUMNS = 100, 60
"""How many points a line, and how many columns a heatmap has at most: so that few calls still make a picture."""

_APART = 3_600_000
"""Milliseconds between two points that a line still joins, where there is no value without calls."""


def lines(
    title: str,
    unit: str,
    queries: Mapping[str, str],
    description: str,
    *,
    none: str = "no calls",
    stacked: bool = False,
    joined: bool = False,
    bottom: float = 0,
    top: float | None = None,
    width: int = 12,
) -> Placed:
    """Series over time, `queries` by their legends. Stacked only where the sum means something.

    `joined` over times without calls, for what is unknown then; a count isn't, so its gap means that nobody counted.
    """
    panel = _over_time(title, unit, description, none)
    panel.fill_opacity(30 if stacked else 8).show_points(looks.VisibilityMode.AUTO)
    if stacked:
        panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
    if joined:
        panel.span_nulls(_APART)
    panel.min(bottom)
    if top is not None:
        panel.max(top)
    return Placed(_asking(panel, queries, "$rate_interval"), width, 8)


def events(title: str, total: str, kinds: Mapping[str, str], description: str, *, none: str, width: int = 12) -> Placed:
    """Bars for what happens seldom, by kind, with a line at 0 where the `total` says that nothing happened."""
    panel = _bars(title, "short", description, none)
    queries = {NOTHING: f"({total}) == 0"} | {legend: f"{of_kind} > 0" for legend, of_kind in kinds.items()}
    return Placed(_asking(panel, queries, "$rate_interval"), width, 8)


def days(title: str, unit: str, queries: Mapping[str, str], description: str, *, none: str, width: int = 12) -> Placed:
    """A stack of bars for each of the last 30 days."""
    panel = _bars(title, unit, description, none).bar_alignment(looks.BarAlignment.AFTER).time_from("30d")
    return Placed(_asking(panel, queries, "1d"), width, 8)


def heat(title: str, unit: str, buckets: str, description: str, *, none: str, width: int = 12) -> Placed:
    """How many calls fell into each bucket of a histogram, over time."""
    panel = (
        titled(heatmap.Panel(), title, description, none)
        .unit("short")
        .max_data_points(_COLUMNS)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_values(heatmap.CellValues().unit("short"))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .tooltip(heatmap.HeatmapTooltip().mode(looks.TooltipDisplayMode.SINGLE).y_histogram(True))
        .show_legend()
        .with_target(_query(buckets).format(PromQueryFormat.HEATMAP).legend_format("{{le}}"))
        .data_links([calls("Calls of this time")])
    )
    return Placed(panel, width, 8)


# ── What they are made of ───────────────────────────────────────────────────────────────


def _over_time(title: str, unit: str, description: str, none: str) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    tooltip = common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
    panel = titled(timeseries.Panel(), title, description, none)
    return panel.unit(unit).min(0).max_data_points(_POINTS).legend(legend).tooltip(tooltip)


_BESIDE: Mapping[str, Mapping[str, object]] = {
    OBJECTIVE: {
        "color": {"mode": "fixed", "fixedColor": "red"},
        "custom.lineWidth": 1,
        "custom.lineStyle": {"fill": "dash", "dash": [10, 10]},
    },
    NOTHING: {"color": {"mode": "fixed", "fixedColor": "green"}, "custom.lineWidth": 1},
}
"""Lines that stand beside a stack and are no part of it, and their looks."""


def _bars(title: str, unit: str, description: str, none: str) -> timeseries.Panel:
    panel = _over_time(title, unit, description, none)
    panel.draw_style(looks.GraphDrawStyle.BARS).fill_opacity(70).line_width(0).bar_width_factor(0.8)
    return panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))


def _asking(panel: timeseries.Panel, queries: Mapping[str, str], step: str) -> timeseries.Panel:
    """With the queries, the look of what stands beside, and links to the calls behind each series."""
    for ref_id, (legend, expression) in lettered(queries):
        panel.with_target(_query(expression, step).legend_format(legend).ref_id(ref_id))
    for legend, look in _BESIDE.items():
        if legend in queries:
            properties = {
                **look,
                "custom.drawStyle": "line",
                "custom.fillOpacity": 0,
                "custom.stacking": {"mode": "none"},
            }
            panel.override_by_name(
                legend, [models.DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()]
            )
    return panel.data_links(calls_of_series([*queries]))


def _query(expression: str, step: str = "$rate_interval") -> prometheus.Dataquery:
    return query(expression).range().interval(step)
