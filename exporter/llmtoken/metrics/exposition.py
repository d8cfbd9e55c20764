"""The text of `/metrics`: which format a scraper asks for, and everything collected, written in it.

The reader is OpenTelemetry's; the text is written here and not by prometheus_client, which takes four times as
long: it makes an object of each sample, and the text of a histogram's labels again for each of its buckets. A test
holds the one against the other. What is not known (an empty label) is left out, which means the same to Prometheus.
Sources: https://prometheus.io/docs/instrumenting/exposition_formats/,
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricsData
from prometheus_client import CollectorRegistry

from llmtoken.metrics.beside import Beside, View
from llmtoken.metrics.instruments import INSTRUMENTS, Instrument

CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_BY_NAME = {instrument.name: instrument for instrument in INSTRUMENTS}


class Reader(PrometheusMetricReader):
    """OpenTelemetry's reader for Prometheus, which sees what is kept beside the SDK too. For one thread at a time.

    Its `registry` is what prometheus_client writes the same from, slowly.
    """

    def __init__(self, beside: Sequence[Beside]) -> None:
        self.registry = CollectorRegistry()
        super().__init__(scope_info_enabled=False, registry=self.registry)
        self._view = View(beside)
        self._collected: MetricsData | None = None
        self._reading = self._ended = False

    def read(self) -> MetricsData:
        """All that there is now; nothing after the shutdown."""
        self._collected = None
        if not self._ended:
            self._reading = True
            try:
                self.collect()
            finally:
                self._reading = False
        return self._collected or MetricsData([])

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        everything = self._view.beside(metrics_data)
        if self._reading:
            self._collected = everything
        else:
            super()._receive_metrics(everything, timeout_millis, **kwargs)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Collect no more."""
        self._ended = True
        super().shutdown(timeout_millis, **kwargs)


def write(data: MetricsData, accept: str | None) -> tuple[bytes, str]:
    """All of it and its media type: OpenMetrics when the Accept header asks for it, else classic text."""
    openmetrics = _wants_openmetrics(accept or "")
    lines = list(_lines(data, openmetrics=openmetrics))
    if openmetrics:
        lines.append("# EOF")
    return "\n".join([*lines, ""]).encode(), OPENMETRICS if openmetrics else CLASSIC


def _wants_openmetrics(accept: str) -> bool:
    """Whether the header names OpenMetrics without refusing it (`q=0`)."""
    for offer in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        if media_type == "application/openmetrics-text":
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return False


def _lines(data: MetricsData, *, openmetrics: bool) -> Iterator[str]:
    for resource in data.resource_metrics:
        info = "target" if openmetrics else "target_info"
        yield f"# HELP {info} Target metadata"
        yield f"# TYPE {info} {'info' if openmetrics else 'gauge'}"
        yield f"target_info{{{_labels(resource.resource.attributes)}}} 1.0"
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                instrument = _BY_NAME[metric.name]
                yield from _head(instrument, openmetrics=openmetrics)
                write_point = _histogram if instrument.kind == "histogram" else _number
                for point in metric.data.data_points:
                    yield from write_point(instrument.prometheus, point)


def _head(instrument: Instrument, *, openmetrics: bool) -> Iterator[str]:
    """What a family says before its samples. OpenMetrics names a counter without the `_total` of its samples."""
    name = instrument.prometheus
    if openmetrics:
        name = name.removesuffix("_total")
    yield f"# HELP {name} {_escaped(instrument.description)}"
    yield f"# TYPE {name} {instrument.kind}"
    if openmetrics and instrument.suffix:
        yield f"# UNIT {name} {instrument.suffix}"


def _number(name: str, point: Any) -> Iterator[str]:
    labels = _labels(point.attributes)
    yield f"{name}{{{labels}}} {float(point.value)!r}" if labels else f"{name} {float(point.value)!r}"


def _histogram(name: str, point: Any) -> Iterator[str]:
    labels = _labels(point.attributes)
    before = f'{name}_bucket{{{labels},le="' if labels else f'{name}_bucket{{le="'
    below = 0
    for bound, count in zip(point.explicit_bounds, point.bucket_counts, strict=False):
        below += count
        yield f'{before}{bound!r}"}} {below}.0'
    braced = f"{{{labels}}}" if labels else ""
    yield f'{before}+Inf"}} {point.count}.0'
    yield f"{name}_count{braced} {point.count}.0"
    yield f"{name}_sum{braced} {float(point.sum)!r}"


def _labels(attributes: Mapping[str, Any] | None) -> str:
    return ",".join(f'{_LABELS[name]}="{_text(value)}"' for name, value in sorted((attributes or {}).items()))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _escaped(value).replace('"', r"\"") if '"' in value or "\\" in value or "\n" in value else value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


class _Labels(dict[str, str]):
    """The label of each attribute; they are as many as we have, and those of the resource."""

    def __missing__(self, attribute: str) -> str:
        self[attribute] = label = re.sub(r"^(?=[0-9])|[^a-zA-Z0-9_]", "_", attribute)
        return label


_LABELS = _Labels()
