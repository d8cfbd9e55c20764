"""The dashboards: their files, and every query on a real Prometheus that scrapes real metrics."""

import importlib.util
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import prometheus
from support.calls import call, failed, streamed
from support.collector import wait_for
from support.counting import Counting
from support.exposition import asked_for, shown
from support.needs import ROOT, missing

GRAFANA = ROOT / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
ALL = {"provider": ".*", "model": ".*"}
"""What Grafana puts in for a variable of which everything is chosen."""
CLAUDE = {"provider": "anthropic", "model": "claude-sonnet"}


def load(file: Path) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return dashboard


PANELS = [panel for file in FILES for panel in load(file)["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(target, id=f"{panel['title']}: {target.get('legendFormat', target['refId'])}")
    for panel in PANELS
    for target in panel["targets"]
]


# ── The files ───────────────────────────────────────────────────────────────────────────


def test_the_committed_dashboards_are_what_the_generator_writes(tmp_path: Path) -> None:
    if importlib.util.find_spec("grafana_foundation_sdk") is None:
        missing("grafana-foundation-sdk", "pip install grafana-foundation-sdk==0.0.21")
    subprocess.run([sys.executable, "-m", "grafana", tmp_path], cwd=ROOT, check=True)
    written = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    assert written == {file.name: file.read_text("utf-8") for file in FILES}, "run python -m grafana"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_explains_itself_and_has_a_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    fields = panel["fieldConfig"]
    units = [value for override in fields["overrides"] for value in override["properties"] if value["id"] == "unit"]
    assert "unit" in fields["defaults"] or len(units) == len(panel["targets"])
    assert fields["defaults"]["noValue"]


@pytest.mark.parametrize("target", QUERIES)
def test_every_query_names_only_series_that_exist(target: dict[str, Any]) -> None:
    names = asked_for(target["expr"])
    assert names
    assert names <= shown()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
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


# ── The queries ─────────────────────────────────────────────────────────────────────────


def resolved(expression: str, chosen: Mapping[str, str]) -> str:
    """Put in the variables as Grafana does."""
    values = {"__rate_interval": "5s", "__range": "1m", **chosen}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expression)


class Exposition(BaseHTTPRequestHandler):
    """Serves the metrics under test."""

    metrics: Counting

    def do_GET(self) -> None:
        body, media_type = self.metrics.exposition(self.headers["Accept"])
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[prometheus.Prometheus]:
    """A Prometheus that has seen steady traffic: of four calls one is streamed, one fails, two go well."""
    metrics = Counting(max_models=10, max_consumers=10)
    handler = type("Handler", (Exposition,), {"metrics": metrics})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = tmp_path_factory.mktemp("prometheus")
        with prometheus.running(folder, f"http://127.0.0.1:{server.server_port}") as running:
            enough = "min(count_over_time(llmtoken_requests_total[1m])) >= 30"

            def busy() -> bool:
                metrics.record([call(), call(consumer="bob"), streamed(), failed()])
                metrics.losses = {("dropped", "queue_full"): 1}
                return bool(running.query(enough))

            wait_for(busy)
            yield running
        server.shutdown()
    metrics.close()


def answer(scraped: prometheus.Prometheus, target: Mapping[str, Any], chosen: Mapping[str, str]) -> list[Any]:
    query = resolved(target["expr"], chosen)
    if target.get("instant"):
        return [(dict(labels), [value]) for labels, value in scraped.query(query).items()]
    return scraped.over_time(query, seconds=5)


@pytest.mark.parametrize("target", QUERIES)
def test_every_query_of_every_panel_has_an_answer(scraped: prometheus.Prometheus, target: dict[str, Any]) -> None:
    series = answer(scraped, target, ALL)
    assert series
    assert all(values for _, values in series)


@pytest.mark.parametrize("target", QUERIES)
def test_a_chosen_model_leaves_only_its_own_series(scraped: prometheus.Prometheus, target: dict[str, Any]) -> None:
    for labels, _ in answer(scraped, target, CLAUDE):
        assert labels.get("gen_ai_request_model", "claude-sonnet") == "claude-sonnet"
        assert labels.get("llmtoken_consumer", "bob") == "bob"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_variable_offers_something(scraped: prometheus.Prometheus, file: Path) -> None:
    for variable in load(file)["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert match, variable["query"]
            assert scraped.label_values(match[2], resolved(match[1], ALL))


@pytest.fixture
def number(scraped: prometheus.Prometheus) -> Callable[..., float]:
    """What a panel with one number shows. All are asked for one moment: `increase` guesses up to the very now."""
    moment = time.time() - 1  # what was scraped by then is stored

    def shown(title: str, chosen: Mapping[str, str] = ALL) -> float:
        panel = next(panel for panel in PANELS if panel["title"] == title)
        (value,) = scraped.query(resolved(panel["targets"][0]["expr"], chosen), at=moment).values()
        return value

    return shown


def test_the_numbers_are_the_right_ones(number: Callable[..., float]) -> None:
    calls = number("Calls")
    assert number("Failed calls") == pytest.approx(1 / 4)
    assert number("Input tokens") == pytest.approx(calls / 4 * (100 + 100 + 3000), rel=0.02)
    assert number("Output tokens") == pytest.approx(calls / 4 * (20 + 20 + 400), rel=0.02)
    assert number("Cost") == pytest.approx(calls / 4 * (0.00037 * 2 + 0.0168), rel=0.02)
    assert 5.12 < number("Duration, 95th percentile") <= 10.24


def test_the_numbers_of_a_chosen_model_are_its_own(number: Callable[..., float]) -> None:
    calls = number("Calls", CLAUDE)
    assert calls == pytest.approx(number("Calls") / 4, rel=0.02)
    assert number("Output tokens", CLAUDE) == pytest.approx(calls * 400, rel=0.02)
    assert number("Failed calls", CLAUDE) == 0
