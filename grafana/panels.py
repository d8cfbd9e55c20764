"""The kinds of panels that our dashboards have. Owns their look; must not know what any of them shows.

Every panel has a title, a description, a unit, and words for when there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.promql import CONSUMER, MODEL
from grafana.variables import SOURCE

Panel = stat.Panel | timeseries.Panel | table.Panel | heatmap.Panel | bargauge.Panel
AnyPanel = TypeVar("AnyPanel", bound=Panel)
Value = TypeVar("Value")

OBJECTIVE = "objective"
"""The legend of a line that says what should be, not what is."""

NOTHING = "nothing"
"""The legend of the line at 0 while none of the events happens that have a bar each."""

_POINTS, _COLUMNS = 100, 60
"""How many points a line, and how many columns a heatmap has at most: so that few calls still make a picture."""

_APART = 3_600_000
"""Milliseconds between two points that a line still joins, where there is no value without calls."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel and its size, in columns and rows of the grid."""

    panel: Panel
    width: int
    height: int


# ── Numbers ─────────────────────────────────────────────────────────────────────────────


def number(
    title: str,
    unit: str,
    query: str,
    description: str,
    *,
    none: str = "none",
    bad: float | None = None,
    low: float | None = None,
    time_from: str | None = None,
    link: builders.DashboardLink | None = None,
    width: int = 3,
) -> Placed:
    """One number over the whole time range. From `bad` on it is red, and so it is below `low`."""
    steps = [models.Threshold(value=None, color="red" if low is not None else "text")]
    if low is not None:
        steps.append(models.Threshold(value=low, color="text"))
    if bad is not None:
        steps.append(models.Threshold(value=bad, color="red"))
    panel = (
        _panel(stat.Panel(), title, description, none)
        .unit(unit)
        .reduce_options(_last())
        .graph_mode(looks.BigValueGraphMode.NONE)
        .color_mode(looks.BigValueColorMode.VALUE)
        .thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(_now(query))
    )
    if time_from is not None:
        panel.time_from(time_from)
    if link is not None:
        panel.links([link])
    return Placed(panel, width, 4)


def distribution(title: str, buckets: str, description: str, *, width: int = 12) -> Placed:
    """A bar for each bucket of a histogram, named by its upper bound, with how much fell into it."""
    panel = (
        _panel(bargauge.Panel(), title, description, "no calls")
        .unit("short")
        .min(0)
        .reduce_options(_last())
        .orientation(looks.VizOrientation.VERTICAL)
        .display_mode(looks.BarGaugeDisplayMode.BASIC)
        .value_mode(looks.BarGaugeValueMode.TEXT)
        .show_unfilled(False)
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color("blue"))
        .with_target(_now(buckets).format(PromQueryFormat.HEATMAP).legend_format("{{le}}"))
    )
    return Placed(panel, width, 8)


# ── Over time ───────────────────────────────────────────────────────────────────────────


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
    queries = {NOTHING: f"({total}) == 0"} | {legend: f"{query} > 0" for legend, query in kinds.items()}
    return Placed(_asking(panel, queries, "$rate_interval"), width, 8)


def days(title: str, unit: str, queries: Mapping[str, str], description: str, *, none: str, width: int = 12) -> Placed:
    """A stack of bars for each of the last 30 days."""
    panel = _bars(title, unit, description, none).bar_alignment(looks.BarAlignment.AFTER).time_from("30d")
    return Placed(_asking(panel, queries, "1d"), width, 8)


def heat(title: str, unit: str, buckets: str, description: str, *, none: str, width: int = 12) -> Placed:
    """How many calls fell into each bucket of a histogram, over time."""
    panel = (
        _panel(heatmap.Panel(), title, description, none)
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
        .with_target(_over(buckets).format(PromQueryFormat.HEATMAP).legend_format("{{le}}"))
        .data_links([_calls("Calls of this time")])
    )
    return Placed(panel, width, 8)


# ── Tables ──────────────────────────────────────────────────────────────────────────────


def columns(
    title: str,
    labels: Mapping[str, str],
    queries: Mapping[str, tuple[str, str]],
    description: str,
    *,
    none: str = "no calls",
    width: int = 12,
) -> Placed:
    """A row for each value of `labels` (headings by label); `queries` are (unit, query) by their headings."""
    panel = _panel(table.Panel(), title, description, none).filterable(True)
    names = dict(labels)
    for ref_id, (heading, (unit, query)) in _lettered(queries):
        panel.with_target(_now(query).format(PromQueryFormat.TABLE).ref_id(ref_id))
        panel.override_by_name(heading, [models.DynamicConfigValue(id_val="unit", value=unit)])
        names[f"Value #{ref_id}"] = heading
    for label, heading in labels.items():
        if label in _ASKED:
            link = _calls(f"Calls of this {heading.lower()}", **{_ASKED[label]: "${__value.raw:percentencode}"}).build()
            value = [{"title": link.title, "url": link.url, "targetBlank": True}]
            panel.override_by_name(heading, [models.DynamicConfigValue(id_val="links", value=value)])
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    places = {old: place for place, old in enumerate(names)}
    organized = {"excludeByName": {"Time": True}, "renameByName": names, "indexByName": places}
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=organized))
    panel.sort_by([common.TableSortByFieldState().display_name(next(iter(queries))).desc(True)])
    return Placed(panel, width, 8)


# ── Links to the calls themselves ───────────────────────────────────────────────────────

_ASKED = {MODEL: "model", CONSUMER: "consumer", "error_type": "error"}
"""Labels that the collector's list of calls can be asked for, by the names that it has for them."""


def _calls(title: str, **asked: str) -> builders.DashboardLink:
    time = "since=${__from:date:iso}&until=${__to:date:iso}"
    more = "".join(f"&{name}={value}" for name, value in asked.items())
    return builders.DashboardLink(title).url(f"${{collector}}/api/calls?{time}{more}").target_blank(True)


def _calls_of_series(legends: Sequence[str]) -> list[builders.DashboardLink]:
    """Links from a series to its calls, as far as its labels say which they are."""
    labels = [label for label in _ASKED if any(f"{{{{{label}}}}}" in legend for legend in legends)]
    asked = {_ASKED[label]: f"${{__field.labels.{label}:percentencode}}" for label in labels}
    title = f"Calls of this {' and '.join(asked)}" if asked else "Calls of this time"
    return [_calls(title, **asked)]


def health_link() -> builders.DashboardLink:
    """To the dashboard that says what is wrong with the meter."""
    return builders.DashboardLink("Health of the meter").url(
        "/d/llmtoken-health?${__url_time_range}&${__all_variables}"
    )


# ── What they are made of ───────────────────────────────────────────────────────────────


def _panel(panel: AnyPanel, title: str, description: str, none: str) -> AnyPanel:
    return panel.title(title).description(description).no_value(none).datasource(SOURCE)


def _over_time(title: str, unit: str, description: str, none: str) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    tooltip = common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
    panel = _panel(timeseries.Panel(), title, description, none)
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
    for ref_id, (legend, query) in _lettered(queries):
        panel.with_target(_over(query, step).legend_format(legend).ref_id(ref_id))
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
    return panel.data_links(_calls_of_series([*queries]))


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _lettered(queries: Mapping[str, Value]) -> list[tuple[str, tuple[str, Value]]]:
    """Each query with the letter that its results are known by."""
    return list(zip("ABCDEFGHIJ"[: len(queries)], queries.items(), strict=True))


def _query(expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).datasource(SOURCE).ref_id("A")


def _now(expression: str) -> prometheus.Dataquery:
    return _query(expression).instant()


def _over(expression: str, step: str = "$rate_interval") -> prometheus.Dataquery:
    return _query(expression).range().interval(step)
