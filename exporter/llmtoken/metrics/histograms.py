"""Histograms of calls: filled here, shown through OpenTelemetry's own data points.

The SDK takes 11 µs to record one value with five attributes (it cleans, sorts and hashes them
each time), and a call has four or five. Here the labels are hashed once as they are. What a
reader gets is the SDK's `Metric`, so any of its exporters can take it.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from llmtoken.metrics.instruments import Instrument

Values = tuple[str | int | bool | None, ...]
"""What an instrument's attributes are, in their order; empty and `None` mean unknown."""

Series = dict[Values | None, list[float]]
"""By their labels: the sum, then how many values fell into each bucket. `None` is what exceeded the limit."""

_OVERFLOW: dict[str, Any] = {"otel.metric.overflow": True}


class Histogram:
    """One instrument's series, at most `limit`; what exceeds that is added up in one more."""

    def __init__(self, instrument: Instrument, *, limit: int) -> None:
        self._instrument = instrument
        self._limit = limit
        self._series: Series = {}

    def record(self, labels: Values, value: float) -> None:
        """Take one value."""
        series = self._series.get(labels)
        if series is None:
            key = labels if len(self._series) < self._limit else None
            series = self._series.setdefault(key, [0.0] + [0] * (len(self._instrument.buckets) + 1))
        series[0] += value
        series[bisect_left(self._instrument.buckets, value) + 1] += 1

    def series(self) -> Series:
        """Everything so far."""
        return {labels: list(numbers) for labels, numbers in self._series.items()}

    def metric(self, series: Series, *, since: int, now: int, temporality: AggregationTemporality) -> Metric:
        """These series as the SDK says it."""
        points = [self._point(labels, numbers, since, now) for labels, numbers in series.items()]
        data = HistogramData(points, temporality)
        return Metric(self._instrument.name, self._instrument.description, self._instrument.unit, data)

    def _point(self, labels: Values | None, numbers: list[float], since: int, now: int) -> HistogramDataPoint:
        total, *counts = numbers
        return HistogramDataPoint(
            attributes=_OVERFLOW if labels is None else known(self._instrument.attributes, labels),
            start_time_unix_nano=since,
            time_unix_nano=now,
            count=int(sum(counts)),
            sum=total,
            bucket_counts=[int(count) for count in counts],
            explicit_bounds=self._instrument.buckets,
            min=0.0,  # nobody shows the extremes
            max=0.0,
        )


class Histograms:
    """All of them, recorded under `lock`; each reader sees them through a `View` of its own."""

    def __init__(self, each: Sequence[Histogram]) -> None:
        self.lock = threading.Lock()
        self.each = each

    def series(self) -> list[Series]:
        """Everything so far, at one moment."""
        with self.lock:
            return [histogram.series() for histogram in self.each]


class View:
    """What one reader sees: everything so far, or, with delta temporality, what is new since it looked last."""

    def __init__(self, histograms: Histograms, temporality: AggregationTemporality) -> None:
        self._histograms, self._temporality = histograms, temporality
        self._since = time.time_ns()
        self._seen: list[Series] = [{} for _ in histograms.each]

    def beside(self, metrics: MetricsData) -> MetricsData:
        """The SDK's metrics and these."""
        now, found = time.time_ns(), self._histograms.series()
        since, shown = self._since, found
        if self._temporality == AggregationTemporality.DELTA:
            shown = [_news(new, old) for new, old in zip(found, self._seen, strict=True)]
            self._since, self._seen = now, found
        ours = [
            histogram.metric(series, since=since, now=now, temporality=self._temporality)
            for histogram, series in zip(self._histograms.each, shown, strict=True)
            if series
        ]
        return _among(metrics, ours) if ours else metrics


def _news(new: Series, old: Series) -> Series:
    """What was recorded in between, of the series in which anything was."""
    return {
        labels: [one - other for one, other in zip(numbers, old[labels], strict=True)] if labels in old else numbers
        for labels, numbers in new.items()
        if numbers != old.get(labels)
    }


def _among(metrics: MetricsData, ours: Sequence[Metric]) -> MetricsData:
    """Within the SDK's own scope: its exporters take only one of several with the same name."""
    if not metrics.resource_metrics:
        scope = ScopeMetrics(InstrumentationScope("llmtoken"), ours, "")
        return MetricsData([ResourceMetrics(Resource({}), [scope], "")])
    first, *others = metrics.resource_metrics
    scope, *scopes = first.scope_metrics
    scope = replace(scope, metrics=[*scope.metrics, *ours])
    return MetricsData([replace(first, scope_metrics=[scope, *scopes]), *others])


def known(names: Sequence[str], labels: Values) -> dict[str, str | int | bool]:
    """The attributes that are known, by name."""
    return {name: label for name, label in zip(names, labels, strict=True) if label is not None and label != ""}
