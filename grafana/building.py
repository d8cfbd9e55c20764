"""What all our dashboards share: how a query, a panel and a page are made.

Owns the look and the layout. Must not know what any panel shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

WIDTH = 24
"""Columns of Grafana's grid."""

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = stat.Panel | timeseries.Panel | table.Panel


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel and its size, in columns and rows of the grid."""

    panel: Panel
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Row:
    """A titled group of panels, laid out from left to right."""

    title: str
    panels: Sequence[Placed]


def number(
    title: str, unit: str, query: str, description: str, *, none: str = "none", bad: float | None = None
) -> Placed:
    """One number over the whole time range. From `bad` on it is shown in red."""
    steps = [models.Threshold(value=None, color="text")]
    if bad is not None:
        steps.append(models.Threshold(value=bad, color="red"))
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value(none)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(looks.BigValueGraphMode.NONE)
        .color_mode(looks.BigValueColorMode.VALUE)
        .thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
        .datasource(SOURCE)
        .with_target(_query(query).instant())
    )
    return Placed(panel, 4, 4)


def lines(
    title: str,
    unit: str,
    queries: Mapping[str, str],
    description: str,
    *,
    none: str = "no calls",
    stacked: bool = False,
) -> Placed:
    """Series over time, `queries` by their legends. Stacked only where the sum means something."""
    legend = (
        common.VizLegendOptions()
        .display_mode(looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .min(0)
        .no_value(none)
        .legend(legend)
        .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
        .fill_opacity(30 if stacked else 8)
        .show_points(looks.VisibilityMode.AUTO)
        .datasource(SOURCE)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
    for ref_id, (name, query) in zip("ABCDEFGH", queries.items(), strict=False):
        panel.with_target(_query(query).legend_format(name).ref_id(ref_id))
    return Placed(panel, 12, 8)


def columns(title: str, label: str, heading: str, queries: Mapping[str, tuple[str, str]], description: str) -> Placed:
    """A table with a row for each value of a label; `queries` are (unit, query) by their headings."""
    panel = table.Panel().title(title).description(description).no_value("no calls").datasource(SOURCE).filterable(True)
    names = {label: heading}
    for ref_id, (name, (unit, query)) in zip("ABCDEFGH", queries.items(), strict=False):
        panel.with_target(_query(query).instant().format(PromQueryFormat.TABLE).ref_id(ref_id))
        panel.override_by_name(name, [models.DynamicConfigValue(id_val="unit", value=unit)])
        names[f"Value #{ref_id}"] = name
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": names, "indexByName": {}}
        )
    )
    panel.sort_by([common.TableSortByFieldState().display_name(next(iter(queries))).desc(True)])
    return Placed(panel, 12, 9)


def choice(name: str, label: str, query: str) -> builders.QueryVariable:
    """A variable with many values; all of them stands for anything, also the empty one."""
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def page(
    uid: str, title: str, description: str, variables: Sequence[builders.QueryVariable], rows: Sequence[Row]
) -> models.Dashboard:
    """A dashboard: the data source's variable, ours, and the rows."""
    dashboard = (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["llmtoken"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in variables:
        dashboard.with_variable(variable)
    model = dashboard.build()
    model.panels = list(_laid_out(rows))
    return model


def _query(expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).datasource(SOURCE).ref_id("A").range()


def _laid_out(rows: Sequence[Row]) -> Iterator[models.RowPanel | models.Panel]:
    """Give every panel an id and a place. The SDK leaves ids out, and its rows run over the edge."""
    top, next_id = 0, 1
    for row in rows:
        heading = builders.Row(row.title).build()
        heading.id_val, heading.grid_pos = next_id, models.GridPos(x=0, y=top, w=WIDTH, h=1)
        yield heading
        next_id += 1
        left, top, tallest = 0, top + 1, 0
        for placed in row.panels:
            if left + placed.width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            panel = placed.panel.build()
            panel.id_val = next_id
            panel.grid_pos = models.GridPos(x=left, y=top, w=placed.width, h=placed.height)
            yield panel
            next_id += 1
            left, tallest = left + placed.width, max(tallest, placed.height)
        top += tallest
