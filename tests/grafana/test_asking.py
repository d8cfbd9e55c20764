"""Variables, steps and times as Grafana's Prometheus data source has them."""

from __future__ import annotations

from typing import Any

import pytest
from grafana.asking import ALL, Time

from grafana import asking

NAMES = {"name": "model", "multi": True, "allValue": ".*", "current": {"value": ALL}}
TYPED = {"name": "budget", "current": {"value": "100"}}
HOUR = Time(3600 * 10, 3600 * 11)


def dashboard(*variables: dict[str, Any]) -> dict[str, Any]:
    return {"templating": {"list": list(variables)}}


@pytest.mark.parametrize(
    ("picked", "written"),
    [
        (ALL, ".*"),
        ([ALL], ".*"),
        (["gpt-4o"], "gpt-4o"),
        (["gpt-4.1"], r"gpt-4\\.1"),
        (["a", "b+c"], r"(a|b\\+c)"),
        ([r"a\b"], r"a\\\\b"),
        (["(x|y)$"], r"\\(x\\|y\\)\\$"),
    ],
)
def test_names_are_escaped_within_a_regular_expression(picked: str | list[str], written: str) -> None:
    assert asking.variables(dashboard(NAMES), {"model": picked}) == {"model": written}


def test_what_nobody_picked_is_what_the_dashboard_begins_with() -> None:
    assert asking.variables(dashboard(NAMES, TYPED), {}) == {"model": ".*", "budget": "100"}


@pytest.mark.parametrize(
    ("least", "points", "step"),
    [("", 240, 15), ("1m", 240, 60), ("1s", 240, 15), ("1s", 7200, 1), ("1m", 30, 120), ("1d", 240, 86400)],
)
def test_a_step_is_long_enough_for_the_picture_and_for_the_query(least: str, points: int, step: float) -> None:
    assert asking.step_of({"maxDataPoints": points}, {"interval": least}, {}, HOUR) == step


def test_the_least_step_may_be_a_variable() -> None:
    assert asking.step_of({"maxDataPoints": 240}, {"interval": "$rate_interval"}, {"rate_interval": "5m"}, HOUR) == 300
