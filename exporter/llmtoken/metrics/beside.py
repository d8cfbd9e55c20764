"""Metrics that are kept beside the SDK's, and what each reader sees of them.

The SDK has no way to add somebody else's metrics, so each reader adds them to what it collects.
They are the SDK's own data points, so its exporters can take them. Must not know what is
counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from llmtoken.metrics.instruments import Instrument, Kind
from llmtoken.totals import EXACT

Values = tuple[str | int | bool | None, ...]
"""What an instrument's attributes are, in their order; empty and `None` mean unknown."""

Numbers = Sequence[int | float | Decimal]

Series = Mapping[Values | None, Numbers]
"""What is counted, by its labels. `None` is what exceeded the limit of series."""

Temporalities = Mapping[Kind, AggregationTemporality]

CUMULATIVE: Temporalities = {
    "counter": AggregationTemporality.CUMULATIVE,
    "histogram": AggregationTemporality.CUMULATIVE,
}


class Beside(Protocol):
    """One metric that is kept beside the SDK's."""

    instrument: Instrument
    began: int
    """When everything stood at 0, in nanoseconds of Unix time."""

    def series(self) -> Series:
        """Everything so far, as it stays."""

    def metric(self, series: Series, *, since: int, now: int, temporality: AggregationTemporality) -> Metric:
        """These series as the SDK says it."""


class View:
    """What one reader sees: everything so far, or, with delta temporality, what is new since it looked last."""

    def __init__(self, kept: Sequence[Beside], temporalities: Temporalities = CUMULATIVE) -> None:
        self._kept, self._temporalities = kept, temporalities
        self._since = time.time_ns()
        self._seen: dict[str, Series] = {}

    def beside(self, metrics: MetricsData) -> MetricsData:
        """The SDK's metrics and these."""
        now, looked = time.time_ns(), self._since
        found: list[Metric] = []
        for each in self._kept:
            series, since = each.series(), each.began
            temporality = self._temporalities[each.instrument.kind]
            if temporality == AggregationTemporality.DELTA:
                name = each.instrument.name
                series, self._seen[name] = _news(series, self._seen.get(name, {})), series
                since, self._since = looked, now
            if series:
                found.append(each.metric(series, since=since, now=now, temporality=temporality))
        return _among(metrics, found) if found else metrics


def attributes(instrument: Instrument, labels: Values | None) -> dict[str, str | int | bool]:
    """The attributes that are known, by name."""
    return {"otel.metric.overflow": True} if labels is None else known(instrument.attributes, labels)


def known(names: Sequence[str], labels: Values) -> dict[str, str | int | bool]:
    """Those of these labels that are known, by name."""
    return {name: label for name, label in zip(names, labels, strict=True) if label is not None and label != ""}


def _news(new: Series, old: Series) -> Series:
    """What came in between, of the series in which anything did."""
    return {
        labels: [_less(one, other) for one, other in zip(numbers, old[labels], strict=True)]
        if labels in old
        else numbers
        for labels, numbers in new.items()
        if numbers != old.get(labels)
    }


def _less(one: Any, other: Any) -> int | float | Decimal:
    difference: int | float | Decimal = EXACT.subtract(one, other) if isinstance(one, Decimal) else one - other
    return difference


def _among(metrics: MetricsData, ours: Sequence[Metric]) -> MetricsData:
    """Within the SDK's own scope: its exporters take only one of several with the same name."""
    if not metrics.resource_metrics:
        scope = ScopeMetrics(InstrumentationScope("llmtoken"), ours, "")
        return MetricsData([ResourceMetrics(Resource({}), [scope], "")])
    first, *others = metrics.resource_metrics
    scope, *scopes = first.scope_metrics
    scope = replace(scope, metrics=[*scope.metrics, *ours])
    return MetricsData([replace(first, scope_metrics=[scope, *scopes]), *others])
