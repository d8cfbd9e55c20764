"""The same metrics pushed over OTLP, for a Prometheus or another backend that can't reach the collector.

Owns when that happens and what is said when it doesn't work: the standard OTEL_* variables
decide, and the SDK's reader and exporter do it in a thread of their own. Must not know what is
counted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_METRIC_EXPORT_INTERVAL,
)
from opentelemetry.sdk.metrics import Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from llmtoken.errors import ConfigError
from llmtoken.metrics.beside import Beside, View

log = logging.getLogger(__name__)

LAST_PUSH_MILLISECONDS = 5000
"""How long the end of the process waits for the last push."""

_SDK = logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter")


def resource(attributes: Mapping[str, str]) -> Resource:
    """Whose metrics these are; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES may say more, or otherwise."""
    return Resource({"service.name": "llmtoken", **attributes}).merge(OTELResourceDetector().detect())


def from_environment(beside: Sequence[Beside], *, failed: Callable[[], None]) -> Push | None:
    """What pushes, where the environment names an endpoint. Calls `failed` for each push that isn't taken.

    Raises `ConfigError` when it can't be done as the variables say.
    """
    endpoint = _value(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT) or _value(OTEL_EXPORTER_OTLP_ENDPOINT)
    if not endpoint or "otlp" not in (_value("OTEL_METRICS_EXPORTER") or "otlp").split(","):
        return None
    _refuse_wrong(endpoint)
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Metrics shall be pushed to {endpoint}, but the package for that isn't there",
            hint="pip install 'llmtoken[otlp]', or unset OTEL_EXPORTER_OTLP_ENDPOINT",
        ) from error
    return Push(_Exporter(OTLPMetricExporter(), beside, endpoint, failed))


class Push(PeriodicExportingMetricReader):
    """Collects and pushes every OTEL_METRIC_EXPORT_INTERVAL, once it has begun, and a last time at the end."""

    def __init__(self, exporter: _Exporter) -> None:
        self._to = exporter
        super().__init__(exporter)

    def begin(self) -> None:
        """Push from now on. What counters stand at already is no news to who wants only that (delta temporality)."""
        self.collect()
        self._to.begun = True


class _Exporter(MetricExporter):
    """Sends the SDK's metrics and those beside them through another exporter, and says once when that doesn't work."""

    def __init__(self, to: MetricExporter, beside: Sequence[Beside], endpoint: str, failed: Callable[[], None]) -> None:
        super().__init__(to._preferred_temporality, to._preferred_aggregation)  # noqa: SLF001 - there is no other way
        self.begun = False
        self._to, self._endpoint, self._failed = to, endpoint, failed
        preferred = self._preferred_temporality or {}
        self._view = View(
            beside,
            {
                "counter": preferred.get(ObservableCounter, AggregationTemporality.CUMULATIVE),
                "histogram": preferred.get(Histogram, AggregationTemporality.CUMULATIVE),
            },
        )
        self._failing = False
        self._said = _Said()
        _SDK.addFilter(self._said)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        everything = self._view.beside(metrics_data)
        if not self.begun:
            return MetricExportResult.SUCCESS
        result = self._to.export(everything, timeout_millis, **kwargs)
        if result is not MetricExportResult.SUCCESS:
            self._failed()
        if (result is not MetricExportResult.SUCCESS) != self._failing:
            self._failing = not self._failing
            if self._failing:
                log.warning("Metrics can't be pushed to %s, counting goes on: %s", self._endpoint, self._said.last)
            else:
                log.warning("Metrics are pushed to %s again", self._endpoint)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._to.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._to.shutdown(timeout_millis, **kwargs)
        _SDK.removeFilter(self._said)


class _Said(logging.Filter):
    """Keeps what the SDK would log at each push: we say it once."""

    last = "no reason was given"

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage()
        return False


def _refuse_wrong(endpoint: str) -> None:
    """What the SDK would only warn of, or do otherwise without a word."""
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint} isn't a URL", hint="write it like http://collector:4318"
        )
    protocol = _value(OTEL_EXPORTER_OTLP_METRICS_PROTOCOL) or _value(OTEL_EXPORTER_OTLP_PROTOCOL) or "http/protobuf"
    if protocol != "http/protobuf":
        raise ConfigError(
            f"llmtoken doesn't push metrics over {protocol}",
            hint="set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and the port for it, which is 4318 as a rule",
        )
    preference = _value(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE) or "cumulative"
    if preference.lower() not in ("cumulative", "delta", "lowmemory"):
        raise ConfigError(
            f"{OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE}={preference} isn't known",
            hint="write cumulative, delta or lowmemory",
        )
    interval = _value(OTEL_METRIC_EXPORT_INTERVAL) or "60000"
    if not interval.isdecimal() or int(interval) == 0:
        raise ConfigError(
            f"{OTEL_METRIC_EXPORT_INTERVAL}={interval} isn't a time", hint="write milliseconds, such as 60000"
        )


def _value(variable: str) -> str:
    return os.environ.get(variable, "").strip()
