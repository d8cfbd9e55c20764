"""What the queries call growth, in every situation that a counter can be in, by Prometheus' own unit tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from grafana.promql import CHOSEN, STEP, grown

from support.needs import program

SCRAPED = "1x60"
"""The collector's `up`, scraped every 15 s for 15 minutes."""


def value(tmp_path: Path, query: str, at: str, counter: str, up: str = SCRAPED) -> float | None:
    """What a query gives for these values, in promtool's notation."""
    return answer(tmp_path, query, at, {'up{job="j",instance="i"}': up, 'c{job="j",instance="i"}': counter})


def answer(tmp_path: Path, query: str, at: str, series: dict[str, str]) -> float | None:
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": f"sum({query})", "eval_time": at, "exp_samples": []}],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"evaluation_interval": "15s", "tests": [test]}), "utf-8")
    done = subprocess.run(
        [program("promtool", "install Prometheus"), "test", "rules", file], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:  # nothing was expected, and nothing came
        return None
    (line,) = (line for line in (done.stdout + done.stderr).splitlines() if "got:" in line)
    return float(line.split()[-1])


def resolved(query: str, *, step: str = "1m", span: str = "10m") -> str:
    return query.replace(STEP, step).replace(CHOSEN, span)


SITUATIONS = {
    "it grew": ("10x20 13x40", SCRAPED, 3, 3),
    "it stood still": ("10x60", SCRAPED, 0, 0),
    "it is new": ("_x22 3x40", SCRAPED, 3, 3),
    "it is new and goes on": ("_x22 1 3x40", SCRAPED, 3, 3),
    "it went on over a restart of the collector": ("10x20 stale _ 12x40", "1x20 0 0 1x40", 2, 2),
    "it began anew": ("10x22 3x40", SCRAPED, 3, 3),
    "it was there before Prometheus was": ("_x21 1000x40", "_x21 1x40", None, 0),
    "it grew after Prometheus came": ("_x21 1000 1002x40", "_x21 1x40", None, 2),
    "it came after Prometheus, which came lately": ("_x23 2x40", "_x21 1x40", None, 2),
}
"""What happened around the sixth minute: the counter, `up`, and the growth within a minute and within ten."""


@pytest.mark.parametrize(("counter", "up", "minute", "long"), SITUATIONS.values(), ids=SITUATIONS)
def test_growth_is_what_was_counted(tmp_path: Path, counter: str, up: str, minute: float | None, long: float) -> None:
    assert value(tmp_path, resolved(grown("c")), "6m", counter, up) == minute
    assert value(tmp_path, resolved(grown("c", CHOSEN)), "10m", counter, up) == pytest.approx(long, rel=0.1)


def test_growth_within_a_scrape_gap_is_seen_when_it_ends(tmp_path: Path) -> None:
    assert value(tmp_path, resolved(grown("c")), "9m", "1x20 _x15 8x60", "1x20 _x15 1x60") == 7


def test_a_counter_that_ended_within_the_time_still_has_its_growth(tmp_path: Path) -> None:
    assert value(tmp_path, resolved(grown("c", CHOSEN)), "14m", "_x22 1 5x10 stale", SCRAPED) == 5


def test_clusters_may_have_collectors_of_the_same_name(tmp_path: Path) -> None:
    same = 'job="j",instance="i"'
    series = {f'up{{{same},cluster="{cluster}"}}': SCRAPED for cluster in "ab"}
    series |= {f'c{{{same},cluster="a"}}': "5x60", f'c{{{same},cluster="b"}}': "_x22 3x40"}
    for query in (grown("c"), grown("c", CHOSEN)):
        assert answer(tmp_path, resolved(query), "6m", series) == 3


def test_increase_sees_no_first_value(tmp_path: Path) -> None:
    """The control: why the queries are longer than that."""
    assert value(tmp_path, "increase(c[10m])", "10m", SITUATIONS["it is new"][0]) == 0
