"""The text of `/metrics`: which format a scraper asks for, and everything collected, written in it.

The reader is OpenTelemetry's; the text is written here and in `llmtoken.metrics.samples`, not by prometheus_client,
which takes ten times as long: it makes an object of each sample, and the text of a histogram's labels again for each
of its buckets. What is kept beside the SDK is not made into the SDK's objects first. A test holds the one against
the other. Sources: https://prometheus.io/docs/instrumenting/exposition_formats/,
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricsData
from prometheus_client import CollectorRegistry

from llmtoken.metrics.beside import Beside, View
from llmtoken.metrics.instruments import INSTRUMENTS, Instrument
from llmtoken.metrics.samples import Samples, escaped, label_text

CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_BY_NAME = {instrument.name: instrument for instrument in INSTRUMENTS}


class Reader(PrometheusMetricReader):
    """OpenTelemetry's reader for Prometheus. For one thread at a time.

    Its `registry` is what prometheus_client writes the same from, slowly, with what is kept `beside` the SDK.
    """

    def __init__(self, beside: Sequence[Beside]) -> None:
        self.registry = CollectorRegistry()
        super().__init__(scope_info_enabled=False, registry=self.registry)
        self._view = View(beside)
        self._collected: MetricsData | None = None
        self._reading = self._ended = False

    def read(self) -> MetricsData | None:
        """What the SDK has now; nothing after the shutdown."""
        self._collected = None
        if not self._ended:
            self._reading = True
            try:
                self.collect()
            finally:
                self._reading = False
        return self._collected

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        if self._reading:
            self._collected = metrics_data
        else:
            super()._receive_metrics(self._view.beside(metrics_data), timeout_millis, **kwargs)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Collect no more."""
        self._ended = True
        super().shutdown(timeout_millis, **kwargs)


class Exposition:
    """What one collector shows: the SDK's metrics, then those that are kept `beside` it. For one thread at a time."""

    def __init__(self, beside: Sequence[Beside]) -> None:
        self.reader = Reader(beside)
        self._beside = beside
        self._samples: dict[str, Samples] = {}

    def write(self, accept: str | None) -> tuple[bytes, str]:
        """Everything as it is now and its media type: OpenMetrics when the Accept header asks for it, else classic."""
        openmetrics = _wants_openmetrics(accept or "")
        data = self.reader.read()
        lines = [] if data is None else [*self._lines(data, openmetrics=openmetrics)]
        if openmetrics:
            lines.append("# EOF")
        return "\n".join([*lines, ""]).encode(), OPENMETRICS if openmetrics else CLASSIC

    def _lines(self, data: MetricsData, *, openmetrics: bool) -> Iterator[str]:
        for resource in data.resource_metrics:
            info = "target" if openmetrics else "target_info"
            yield f"# HELP {info} Target metadata"
            yield f"# TYPE {info} {'info' if openmetrics else 'gauge'}"
            yield f"target_info{{{label_text(resource.resource.attributes)}}} 1.0"
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    instrument = _BY_NAME[metric.name]
                    yield from _head(instrument, openmetrics=openmetrics)
                    yield from map(self._written(instrument).of_point, metric.data.data_points)
        for kept in self._beside:
            if series := kept.series():
                yield from _head(kept.instrument, openmetrics=openmetrics)
                yield from self._written(kept.instrument).lines(series)

    def _written(self, instrument: Instrument) -> Samples:
        if instrument.name not in self._samples:
            self._samples[instrument.name] = Samples(instrument)
        return self._samples[instrument.name]


def _wants_openmetrics(accept: str) -> bool:
    """Whether the header names OpenMetrics without refusing it (`q=0`)."""
    for offer in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        if media_type == "application/openmetrics-text":
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return False


def _head(instrument: Instrument, *, openmetrics: bool) -> Iterator[str]:
    """What a family says before its samples. OpenMetrics names a counter without the `_total` of its samples."""
    name = instrument.prometheus
    if openmetrics:
        name = name.removesuffix("_total")
    yield f"# HELP {name} {escaped(instrument.description)}"
    yield f"# TYPE {name} {instrument.kind}"
    if openmetrics and instrument.suffix:
        yield f"# UNIT {name} {instrument.suffix}"
