"""What a scrape costs and how many series it has: 20 models, each used by 20 consumers.

    PYTHONPATH=tests .venv/bin/python bench/scrape.py

The goals are 100 ms of CPU a scrape and 2,000 series; docs/adr/metric-cardinality.md says what came of them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from statistics import median

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from llmtoken.call import Call
from llmtoken.metrics.detail import Detail
from support.calls import streamed
from support.counting import Counting

REPEATS = 15


def calls(models: int = 20, consumers: int = 20) -> Iterable[Call]:
    """Successful streamed calls of one provider, the kind that moves the most metrics."""
    for model in range(models):
        for consumer in range(consumers):
            yield streamed(
                request_model=f"model-{model}", response_model=f"model-{model}-2026", consumer=f"team-{consumer}"
            )


def series(text: str) -> Counter[str]:
    """Samples by family."""
    return Counter({family.name: len(family.samples) for family in text_string_to_metric_families(text)})


def main() -> None:
    for detail in ("full", "lean"):
        print(f"metrics_detail = {detail}")
        measure(detail)


def measure(detail: Detail) -> None:
    metrics = Counting(detail=detail)
    recorded = list(calls())
    metrics.record(recorded)
    for call in recorded[::20]:
        for side in ("input", "output"):
            metrics.estimated(call, side, 1.0)
    metrics.committed(0.01, len(recorded))
    found = series(metrics.exposition(None)[0].decode())
    for name, count in found.most_common():
        print(f"{count:>6} {name}")
    print(f"{found.total():>6} series")
    ways: dict[str, Callable[[], object]] = {
        "a scrape, classic text, when every series has moved": lambda: metrics.exposition(None),
        "again, when none has": lambda: metrics.exposition(None),
        "a scrape, OpenMetrics, likewise moved": lambda: metrics.exposition("application/openmetrics-text"),
        "the same through OpenTelemetry's exporter and prometheus_client": lambda: generate_latest(metrics.registry),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(REPEATS):
        for way, work in ways.items():
            if "again" not in way:
                metrics.record(recorded)
            began = time.process_time()
            work()
            times[way].append(time.process_time() - began)
    for way, took in times.items():
        print(f"{median(took) * 1000:>6.1f} ms of CPU: {way}")
    metrics.close()


if __name__ == "__main__":
    main()
