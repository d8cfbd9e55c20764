"""Prometheus' and Alertmanager's files, by their own tools and against what is really exposed."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from llmtoken.metrics.instruments import DURATION, TIME_TO_FIRST_CHUNK
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
OBJECTIVES = [rule for rule in rules() if rule.get("record") == "llmtoken:latency_objective:ratio"]
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))


def unit_tests(kind: str) -> Iterator[dict[str, Any]]:
    """The cases of one kind in all of promtool's test files."""
    for file in UNIT_TESTS:
        for test in read(file)["tests"]:
            yield from test.get(kind, [])


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("what", ["config", "rules"])
def test_promtool_finds_nothing_to_complain_about(what: str) -> None:
    files = [PROMETHEUS / "prometheus.yml"] if what == "config" else (PROMETHEUS / "rules").glob("*.yml")
    check(program("promtool", "install Prometheus"), "check", what, "--lint=all", "--lint-fatal", *files)


def test_amtool_accepts_the_alertmanager_configuration() -> None:
    check(program("amtool", "install prometheus-alertmanager"), "check-config", PROMETHEUS / "alertmanager.yml")


def test_amtool_accepts_every_receiver_and_route_that_is_there_to_be_uncommented(tmp_path: Path) -> None:
    commented = r"(?m)^( *)# ((?:  )*(?:- |[a-z_]+:(?: |$)).*)"
    text = (PROMETHEUS / "alertmanager.yml").read_text("utf-8")
    file = tmp_path / "alertmanager.yml"
    file.write_text(re.sub(commented, r"\1\2", text), "utf-8")
    receivers = {receiver["name"]: set(receiver) for receiver in read(file)["receivers"]}
    assert receivers["nobody-yet"] >= {"webhook_configs", "email_configs", "slack_configs"}
    assert {route["receiver"] for route in read(file)["route"]["routes"]} <= set(receivers)
    check(program("amtool", "install prometheus-alertmanager"), "check-config", file)


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_unit_tests_say(file: Path) -> None:
    check(program("promtool", "install Prometheus"), "test", "rules", file)


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    """One that has two severities fires with both."""
    fired, silent = set(), set()
    for case in unit_tests("alert_rule_test"):
        fired |= {(case["alertname"], alert["exp_labels"]["severity"]) for alert in case["exp_alerts"]}
        silent |= set() if case["exp_alerts"] else {case["alertname"]}
    assert fired == {(alert["alert"], alert["labels"]["severity"]) for alert in ALERTS}
    assert silent == {alert["alert"] for alert in ALERTS}


def test_every_recording_rule_is_tested() -> None:
    tested = {name for case in unit_tests("promql_expr_test") for name in asked_for(case["expr"])}
    assert tested == {rule["record"] for rule in rules() if "record" in rule}


@pytest.mark.parametrize("record", ["llmtoken:latency_burn:rate", "llmtoken:latency_slow_calls:increase"])
def test_the_rules_of_all_windows_differ_in_the_window_only(record: str) -> None:
    windows = {
        rule["record"].removeprefix(record): rule["expr"] for rule in rules() if record in rule.get("record", "")
    }
    assert len(windows) > 1
    assert len({expression.replace(f"[{window}]", "[window]") for window, expression in windows.items()}) == 1


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda rule: rule["labels"]["slo"])
def test_an_objective_can_be_measured_and_missed(objective: dict[str, Any]) -> None:
    """Its bound is a bucket's, and there are enough calls that may be slow for the fastest burn to be reached."""
    measured = {"time_to_first_chunk": TIME_TO_FIRST_CHUNK, "duration": DURATION}[objective["labels"]["slo"]]
    assert objective["labels"]["le"] in {str(bucket) for bucket in measured.buckets}
    (fastest,) = re.findall(r"rate1h > ([\d.]+)", "".join(alert["expr"] for alert in ALERTS))
    assert float(fastest) * (1 - float(objective["expr"])) < 1


def test_nobodys_budget_is_exceeded_as_shipped() -> None:
    (budget,) = (rule["expr"] for rule in rules() if rule.get("record") == "llmtoken:budget_usd:per30d")
    assert budget == "+Inf"


def test_rules_name_only_series_that_exist() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert asked_for(rule["expr"]) <= shown() | recorded


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "description", "runbook_url"} <= set(alert["annotations"])
    page, anchor = alert["annotations"]["runbook_url"].split("/blob/main/")[1].split("#")
    assert anchor == alert["alert"].lower()
    sections = re.split(r"(?m)^### ", (ROOT / page).read_text("utf-8"))
    (section,) = (section for section in sections if section.startswith(f"{alert['alert']}\n"))
    assert re.search(r"(?m)^(1\. |\| )", section), "say what to do, step by step"


def test_alertmanager_and_rules_name_the_same_alerts() -> None:
    named = set(re.findall(r"Llmtoken\w+", (PROMETHEUS / "alertmanager.yml").read_text("utf-8")))
    assert named <= {alert["alert"] for alert in ALERTS}


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
