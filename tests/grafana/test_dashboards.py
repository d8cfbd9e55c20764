"""The dashboards as files. What they show is tested in tests/e2e/test_dashboards.py, on the real parts."""

import importlib.util
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from support.exposition import GOLDEN, asked_for, shown
from support.needs import ROOT, missing

GRAFANA = ROOT / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))


def load(file: Path) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return dashboard


PANELS = [
    pytest.param(panel, id=f"{file.stem}: {panel['title']}")
    for file in FILES
    for panel in load(file)["panels"]
    if panel["type"] != "row"
]
every_panel = pytest.mark.parametrize("panel", PANELS)
every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


# ── The files ───────────────────────────────────────────────────────────────────────────


def test_the_committed_dashboards_are_what_the_generator_writes(tmp_path: Path) -> None:
    if importlib.util.find_spec("grafana_foundation_sdk") is None:
        missing("grafana-foundation-sdk", "pip install grafana-foundation-sdk==0.0.21")
    subprocess.run([sys.executable, "-m", "grafana", tmp_path], cwd=ROOT, check=True)
    written = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    assert written == {file.name: file.read_text("utf-8") for file in FILES}, "run python -m grafana"


@every_panel
def test_a_panel_explains_itself_and_has_a_unit_and_words_for_nothing(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    fields = panel["fieldConfig"]
    units = [value for override in fields["overrides"] for value in override["properties"] if value["id"] == "unit"]
    assert "unit" in fields["defaults"] or len(units) == len(panel["targets"])
    assert fields["defaults"]["noValue"]


@every_panel
def test_a_picture_has_a_legend(panel: dict[str, Any]) -> None:
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"] is True
    if panel["type"] == "heatmap":
        assert panel["options"]["legend"]["show"] is True
    if panel["type"] not in ("stat", "table"):
        assert all(target["legendFormat"] for target in panel["targets"])


@every_panel
def test_a_stack_has_no_sum_on_top_of_its_parts(panel: dict[str, Any]) -> None:
    """What is stacked are the values of the same labels, or words that share nothing; a line beside them isn't."""
    stacking = panel["fieldConfig"]["defaults"].get("custom", {}).get("stacking", {}).get("mode", "none")
    if stacking == "none":
        return
    aside = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    legends = {target["legendFormat"] for target in panel["targets"]} - aside
    assert all(re.search(r"\{\{\w+\}\}", legend) for legend in legends) or legends == {"input", "output"}, (
        "a stack of {legends}"
    )


@every_panel
def test_every_query_names_only_series_and_labels_that_exist(panel: dict[str, Any]) -> None:
    labels = set(re.findall(r'(\w+)="', GOLDEN.read_text("utf-8"))) | {"job", "instance"}
    for target in panel["targets"]:
        expression, legend = target["expr"], target.get("legendFormat", "")
        names = asked_for(expression)
        assert names <= shown()
        assert names or expression in ("vector(1)", "$budget / days_in_month()") or legend == "objective"
        matched = re.findall(r'(\w+)(?:=~|!=|=)"', expression)
        grouped = re.findall(r"(?:by|on|ignoring) \(([\w, ]*)\)", expression)
        used = {*matched, *(name for group in grouped for name in group.split(", ") if name)}
        assert used | set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels


@every_panel
def test_a_graph_covers_as_much_as_the_variable_says_with_each_point(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        if not target.get("instant"):
            assert target["interval"] == ("1d" if panel.get("timeFrom") == "30d" else "$rate_interval")


# ── The links ───────────────────────────────────────────────────────────────────────────


def links_of(panel: dict[str, Any]) -> list[str]:
    fields = panel["fieldConfig"]
    of_columns = [
        link
        for override in fields["overrides"]
        for value in override["properties"]
        if value["id"] == "links"
        for link in value["value"]
    ]
    return [link["url"] for link in [*fields["defaults"].get("links", []), *of_columns]]


@every_panel
def test_what_is_clicked_leads_to_its_calls(panel: dict[str, Any]) -> None:
    links = links_of(panel)
    assert links or panel["type"] in ("stat", "bargauge")
    for link in links:
        base, _, path = link.partition("/")
        assert (base, urlsplit(f"/{path}").path) == ("${collector}", "/api/calls")
        asked = parse_qs(urlsplit(f"/{path}").query)
        assert asked["since"] == ["${__from:date:iso}"]
        assert asked["until"] == ["${__to:date:iso}"]
        assert asked.keys() <= {"since", "until", "model", "consumer", "error"}


@every_file
def test_a_dashboard_leads_to_the_others_with_its_time_and_variables(file: Path) -> None:
    dashboard = load(file)
    (link,) = dashboard["links"]
    assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)
    assert set(link["tags"]) <= set(dashboard["tags"])


@every_file
def test_the_variables_that_all_have_come_first_and_explain_themselves(file: Path) -> None:
    names = [variable["name"] for variable in load(file)["templating"]["list"]]
    assert names[:6] == ["datasource", "provider", "model", "consumer", "rate_interval", "collector"]


@every_file
def test_panels_have_ids_and_places_of_their_own(file: Path) -> None:
    panels = load(file)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(set(cells)) == len(cells), "panels overlap"
    assert max(x for x, _ in cells) < 24


@every_file
def test_a_dashboard_keeps_its_address_and_lets_the_data_source_be_chosen(file: Path) -> None:
    dashboard = load(file)
    assert dashboard["uid"] == f"llmtoken-{file.stem}"
    sources = {json.dumps(panel["datasource"], sort_keys=True) for panel in dashboard["panels"] if "targets" in panel}
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}


def test_provisioning_takes_the_prometheus_of_compose() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    scrapes = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text())
    assert source["uid"] == "llmtoken-prometheus"
    assert source["jsonData"]["timeInterval"] == scrapes["global"]["scrape_interval"]
