"""Histograms of calls: filled here, shown through OpenTelemetry's own data points.

The SDK takes 11 µs to record one value with five attributes (it cleans, sorts and hashes them
each time), and a call has four or five. Here the labels are hashed once as they are. What a
reader gets is the SDK's `Metric`, so any of its exporters can take it.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
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
from prometheus_client import CollectorRegistry

from llmtoken.metrics.instruments import Instrument

Values = tuple[str | int | bool | None, ...]
"""What an instrument's attributes are, in their order; empty and `None` mean unknown."""

_OVERFLOW: dict[str, Any] = {"otel.metric.overflow": True}


class Histogram:
    """One instrument's series, at most `limit`; what exceeds that is added up in one more."""

    def __init__(self, instrument: Instrument, *, limit: int) -> None:
        self._instrument = instrument
        self._limit = limit
        self._series: dict[Values | None, list[float]] = {}
        """The sum, then how many values fell into each bucket."""
        self._began = time.time_ns()

    def record(self, labels: Values, value: float) -> None:
        """Take one value."""
        series = self._series.get(labels)
        if series is None:
            key = labels if len(self._series) < self._limit else None
            series = self._series.setdefault(key, [0.0] + [0] * (len(self._instrument.buckets) + 1))
        series[0] += value
        series[bisect_left(self._instrument.buckets, value) + 1] += 1

    def metric(self, now: int) -> Metric | None:
        """Everything so far, as the SDK says it; nothing when there is nothing."""
        points = list(self._points(now))
        if not points:
            return None
        data = HistogramData(points, AggregationTemporality.CUMULATIVE)
        return Metric(self._instrument.name, self._instrument.description, self._instrument.unit, data)

    def _points(self, now: int) -> Iterator[HistogramDataPoint]:
        for labels, (total, *counts) in self._series.items():
            yield HistogramDataPoint(
                attributes=_OVERFLOW if labels is None else known(self._instrument.attributes, labels),
                start_time_unix_nano=self._began,
                time_unix_nano=now,
                count=int(sum(counts)),
                sum=total,
                bucket_counts=[int(count) for count in counts],
                explicit_bounds=self._instrument.buckets,
                min=0.0,  # nobody shows the extremes
                max=0.0,
            )


class Reader(PrometheusMetricReader):
    """Gives Prometheus the SDK's metrics and, with them, these histograms. They are recorded under `lock`."""

    def __init__(self, registry: CollectorRegistry, histograms: Sequence[Histogram]) -> None:
        super().__init__(scope_info_enabled=False, registry=registry)
        self.lock = threading.Lock()
        self._histograms = histograms

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        now = time.time_ns()
        with self.lock:
            ours = [metric for each in self._histograms if (metric := each.metric(now)) is not None]
        everything = [*metrics_data.resource_metrics, *_as_resource(metrics_data, ours)]
        super()._receive_metrics(MetricsData(everything), timeout_millis, **kwargs)


def _as_resource(beside: MetricsData, metrics: Sequence[Metric]) -> Iterable[ResourceMetrics]:
    if metrics:
        resource = beside.resource_metrics[0].resource if beside.resource_metrics else Resource({})
        yield ResourceMetrics(resource, [ScopeMetrics(InstrumentationScope("llmtoken"), metrics, "")], "")


def known(names: Sequence[str], labels: Values) -> dict[str, str | int | bool]:
    """The attributes that are known, by name."""
    return {name: label for name, label in zip(names, labels, strict=True) if label is not None and label != ""}
