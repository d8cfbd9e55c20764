"""How a dashboard is put together from rows of panels. Owns the layout; must not know what any panel shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from grafana import variables
from grafana.panels import Placed

WIDTH = 24
"""Columns of Grafana's grid."""

TAG = "llmtoken"
"""What our dashboards find each other by."""


@dataclass(frozen=True, slots=True)
class Row:
    """A titled group of panels, laid out from left to right."""

    title: str
    panels: Sequence[Placed]


def page(
    name: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    more: Sequence[variables.Variable] = (),
    time: str = "now-6h",
) -> models.Dashboard:
    """A dashboard: the variables that all have, `more` of its own, links to the others, and the rows."""
    dashboard = (
        builders.Dashboard(title)
        .uid(f"llmtoken-{name}")
        .description(description)
        .tags([TAG])
        .refresh("1m")
        .time(time, "now")
        .timezone("browser")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("LLM dashboards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
            .include_vars(True)
        )
    )
    for variable in [*variables.common(), *more]:
        dashboard.with_variable(variable)
    model = dashboard.build()
    model.panels = list(_laid_out(rows))
    return model


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
