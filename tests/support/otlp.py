"""A real OTLP receiver on a free port of this machine: it decodes what is pushed, and keeps it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from llmtoken.metrics.instruments import INSTRUMENTS

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by the name and the labels that they have on `/metrics`."""

_NAMES = {instrument.name: instrument.prometheus for instrument in INSTRUMENTS}


@dataclass
class Receiver:
    """What was pushed, oldest first. `status` is what it answers, once `answering` lets it."""

    url: str
    pushes: list[ExportMetricsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    answering: threading.Event = field(default_factory=threading.Event)

    def resource(self) -> dict[str, str]:
        """Whose metrics the newest push has."""
        (resource,) = {str(each.resource) for each in self.pushes[-1].resource_metrics}
        return {each.key: _text(each) for each in self.pushes[-1].resource_metrics[0].resource.attributes if resource}

    def start_of(self, name: str, push: ExportMetricsServiceRequest) -> int:
        """Since when a counter of a push has been counting, in nanoseconds."""
        (start,) = {
            point.start_time_unix_nano
            for metric in _metrics(push)
            if metric.name == name
            for point in metric.sum.data_points
        }
        return start

    def temporalities(self) -> dict[str, int]:
        """Of each counter and histogram of the newest push: 1 is delta, 2 is cumulative."""
        return {
            metric.name: getattr(metric, metric.WhichOneof("data")).aggregation_temporality
            for metric in _metrics(self.pushes[-1])
            if metric.WhichOneof("data") != "gauge"
        }


def samples(push: ExportMetricsServiceRequest) -> Samples:
    """Every number of a push as `/metrics` would show it."""
    found: Samples = {}
    for metric in _metrics(push):
        name = _NAMES[metric.name]
        for point in getattr(metric, metric.WhichOneof("data")).data_points:
            labels = {each.key.replace(".", "_"): _text(each) for each in point.attributes}
            if metric.WhichOneof("data") == "histogram":
                found[f"{name}_sum", frozenset(labels.items())] = point.sum
                found[f"{name}_count", frozenset(labels.items())] = point.count
                below = 0
                for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True):
                    below += count
                    le = "+Inf" if bound == float("inf") else str(bound)
                    found[f"{name}_bucket", frozenset({**labels, "le": le}.items())] = below
            else:
                found[name, frozenset(labels.items())] = getattr(point, point.WhichOneof("value"))
    return found


def _metrics(push: ExportMetricsServiceRequest) -> list:
    return [metric for each in push.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]


def _text(attribute: KeyValue) -> str:
    value = getattr(attribute.value, attribute.value.WhichOneof("value"))
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
            receiver.pushes.append(ExportMetricsServiceRequest.FromString(body))
            receiver.answering.wait(30)
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    receiver.answering.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()
