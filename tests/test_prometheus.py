"""Prometheus' and Alertmanager's files, by their own tools and against what is really exposed."""

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support.collector import wait_for
from support.exposition import asked_for, shown
from support.needs import ROOT, program
from support.traefik import Traefik

PROMETHEUS = ROOT / "prometheus"
TRAEFIK_SERIES = "traefik_entrypoint_requests_total"


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text("utf-8"))


def rules() -> list[dict[str, Any]]:
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    return [rule for file in files for group in read(file)["groups"] for rule in group["rules"]]


ALERTS = [rule for rule in rules() if "alert" in rule]


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    check(program("promtool", "install Prometheus"), "check", "config", PROMETHEUS / "prometheus.yml")


def test_amtool_accepts_the_alertmanager_configuration() -> None:
    check(program("amtool", "install prometheus-alertmanager"), "check-config", PROMETHEUS / "alertmanager.yml")


@pytest.mark.parametrize("file", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_the_rules_do_what_their_unit_tests_say(file: Path) -> None:
    check(program("promtool", "install Prometheus"), "test", "rules", file)


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    outcomes = {
        (case["alertname"], bool(case["exp_alerts"]))
        for test in read(PROMETHEUS / "tests" / "alerts.yml")["tests"]
        for case in test["alert_rule_test"]
    }
    assert outcomes == set(itertools.product((alert["alert"] for alert in ALERTS), (True, False)))


def test_every_recording_rule_is_tested() -> None:
    tests = read(PROMETHEUS / "tests" / "recording.yml")["tests"]
    tested = {case["expr"] for test in tests for case in test["promql_expr_test"]}
    assert tested == {rule["record"] for rule in rules() if "record" in rule}


def test_rules_name_only_series_that_exist() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert asked_for(rule["expr"]) <= shown() | recorded


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "description", "runbook_url"} <= set(alert["annotations"])
    page, anchor = alert["annotations"]["runbook_url"].split("/blob/main/")[1].split("#")
    headings = re.findall(r"(?m)^#+ (.+)$", (ROOT / page).read_text("utf-8"))
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_alertmanager_and_rules_name_the_same_alerts() -> None:
    named = re.findall(r"alertname = (\w+)", (PROMETHEUS / "alertmanager.yml").read_text("utf-8"))
    assert set(named) <= {alert["alert"] for alert in ALERTS}


def test_traefik_exposes_the_series_that_the_rules_ask_for(tmp_path: Path) -> None:
    shipped = read(ROOT / "traefik" / "traefik.yml")["metrics"]["prometheus"]
    nowhere = "http://127.0.0.1:9"
    with Traefik(
        tmp_path,
        upstream=nowhere,
        middleware={"apiurl": f"{nowhere}/api/report"},
        static={"metrics": {"prometheus": shipped | {"entryPoint": "traefik"}}},
    ) as traefik:
        status = httpx.get(traefik.plain_url).status_code
        series = re.compile(rf'{TRAEFIK_SERIES}{{code="{status}",entrypoint="plain",.*}} 1\n')
        wait_for(lambda: series.search(httpx.get(f"{traefik.api_url}/metrics").text))


def test_the_rules_watch_the_entry_point_of_the_shipped_traefik() -> None:
    watched = {name for rule in rules() for name in re.findall(rf'{TRAEFIK_SERIES}{{entrypoint="(\w+)"', rule["expr"])}
    assert watched == {"llm"}
    assert watched <= set(read(ROOT / "traefik" / "traefik.yml")["entryPoints"])
