"""The kinds of panels that show numbers, and what all panels have. Must not know what any of them shows.

Every panel has a title, a description, a unit, and words for when there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.links import ASKED, calls
from grafana.variables import SOURCE

Panel = stat.Panel | timeseries.Panel | table.Panel | heatmap.Panel | bargauge.Panel
AnyPanel = TypeVar("AnyPanel", bound=Panel)
Value = TypeVar("Value")


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
        titled(stat.Panel(), title, description, none)
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
        titled(bargauge.Panel(), title, description, "no calls")
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
    panel = titled(table.Panel(), title, description, none).filterable(True)
    names = dict(labels)
    for ref_id, (heading, (unit, query)) in lettered(queries):
        panel.with_target(_now(query).format(PromQueryFormat.TABLE).ref_id(ref_id))
        panel.override_by_name(heading, [models.DynamicConfigValue(id_val="unit", value=unit)])
        names[f"Value #{ref_id}"] = heading
    for label, heading in labels.items():
        if label in ASKED:
            link = calls(f"Calls of this {heading.lower()}", **{ASKED[label]: "${__value.raw:percentencode}"}).build()
            value = [{"title": link.title, "url": link.url, "targetBlank": True}]
            panel.override_by_name(heading, [models.DynamicConfigValue(id_val="links", value=value)])
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    places = {old: place for place, old in enumerate(names)}
    organized = {"excludeByName": {"Time": True}, "renameByName": names, "indexByName": places}
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=organized))
    panel.sort_by([common.TableSortByFieldState().display_name(next(iter(queries))).desc(True)])
    return Placed(panel, width, 8)


# ── What they are made of ───────────────────────────────────────────────────────────────


def titled(panel: AnyPanel, title: str, description: str, none: str) -> AnyPanel:
    """A panel with what every panel has; `none` is shown where there is nothing."""
    return panel.title(title).description(description).no_value(none).datasource(SOURCE)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def lettered(queries: Mapping[str, Value]) -> list[tuple[str, tuple[str, Value]]]:
    """Each query with the letter that its results are known by."""
    return list(zip("ABCDEFGHIJ"[: len(queries)], queries.items(), strict=True))


def query(expression: str) -> prometheus.Dataquery:
    """A query of the chosen data source."""
    return prometheus.Dataquery().expr(expression).datasource(SOURCE).ref_id("A")


def _now(expression: str) -> prometheus.Dataquery:
    return query(expression).instant()
