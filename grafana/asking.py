"""Asks a Prometheus what Grafana would: a dashboard's variables resolved, every panel's queries answered.

Grafana's server is not needed, so tests and pictures run the very queries that are committed.
The rules are those of Grafana's Prometheus data source: how values are escaped, how long a step
is, to which moments it is aligned. Knows the dashboards' JSON and Prometheus' HTTP API only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

ALL = "$__all"

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800]
"""The steps in seconds that Grafana rounds to, but for those of less than a second and more than a week."""


@dataclass(frozen=True, slots=True)
class Time:
    """What the time picker says, in Unix seconds, and the data source's scrape interval."""

    start: float
    end: float
    scrape_interval: float = 15


@dataclass(frozen=True, slots=True)
class Series:
    """One line, bar or cell of an answer: its labels, and its values by Unix time."""

    labels: dict[str, str]
    values: dict[float, float]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.values[max(self.values)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query of a panel gave."""

    target: Mapping[str, Any]
    expression: str
    time: Time
    step: float
    series: list[Series] = field(default_factory=list)


def variables(dashboard: Mapping[str, Any], picked: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """What stands for each variable in a query: what was picked, or else what the dashboard begins with."""
    values: dict[str, str] = {}
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        pick = picked.get(name, variable["current"].get("value", "") if "current" in variable else "")
        values[name] = _written(variable, pick)
    return values


def options(client: httpx.Client, variable: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    """What a variable with a query offers."""
    match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
    if match is None:
        raise ValueError(f"{variable['query']!r} is not label_values(series, label)")
    selector = _replaced(match[1], values)
    answer = client.get(f"/api/v1/label/{match[2]}/values", params={"match[]": selector}).raise_for_status()
    found: list[str] = answer.json()["data"]
    return found


def answers(client: httpx.Client, panel: Mapping[str, Any], values: Mapping[str, str], time: Time) -> Iterator[Answer]:
    """Run each query of a panel."""
    time = _overridden(panel, time)
    for target in panel["targets"]:
        step = step_of(panel, target, values, time)
        expression = _replaced(target["expr"], values | _built_in(time, step))
        if target.get("instant"):
            data = _ask(client, "query", {"query": expression, "time": time.end})
        else:
            start, end = (moment // step * step for moment in (time.start, time.end))
            data = _ask(client, "query_range", {"query": expression, "start": start, "end": end, "step": step})
        yield Answer(target, expression, time, step, [_series(each) for each in data])


def step_of(panel: Mapping[str, Any], target: Mapping[str, Any], values: Mapping[str, str], time: Time) -> float:
    """How many seconds lie between two points."""
    least = _replaced(target.get("interval", ""), values)
    fine = (time.end - time.start) / panel.get("maxDataPoints", 1000)
    rounded = next((step for step in _STEPS if fine <= step), _STEPS[-1])
    return max(rounded, seconds(least) if least else time.scrape_interval)


def seconds(duration: str) -> float:
    """A duration such as 5m."""
    return float(duration[:-1]) * _SECONDS[duration[-1]]


def _overridden(panel: Mapping[str, Any], time: Time) -> Time:
    """A panel may look back from now by a time of its own."""
    override = panel.get("timeFrom")
    if override is None:
        return time
    if override == "now/M":
        now = datetime.fromtimestamp(time.end, UTC)
        begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    else:
        begin = time.end - seconds(override)
    return Time(begin, time.end, time.scrape_interval)


def _built_in(time: Time, step: float) -> dict[str, str]:
    span = round(time.end - time.start)
    return {
        "__interval": f"{step:g}s" if step % 1 == 0 else f"{step * 1000:g}ms",
        "__interval_ms": f"{step * 1000:g}",
        "__range": f"{span}s",
        "__range_s": f"{span}",
    }


def _written(variable: Mapping[str, Any], pick: str | Sequence[str]) -> str:
    """As the data source writes it into a query."""
    if pick in (ALL, [ALL]):
        every: str = variable["allValue"]  # goes in as it is
        return every
    if not variable.get("multi"):
        return str(pick).replace("\\", "\\\\")
    escaped = [_regex(value) for value in ([pick] if isinstance(pick, str) else pick)]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _regex(value: str) -> str:
    """A name as a regular expression within a PromQL string."""
    return re.sub(r"[$^*{}\[\]+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


def _replaced(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], text)


def _ask(client: httpx.Client, what: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    answer = client.post(f"/api/v1/{what}", data=parameters)
    if answer.is_error:
        raise ValueError(f"{answer.text}\nwas the answer to {parameters['query']}")
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def _series(found: Mapping[str, Any]) -> Series:
    values = [found["value"]] if "value" in found else found["values"]
    numbers = {float(moment): float(value) for moment, value in values}
    return Series(found["metric"], {moment: value for moment, value in numbers.items() if not math.isnan(value)})
