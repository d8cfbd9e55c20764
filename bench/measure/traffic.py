"""Calls that go well, down every way in turn: what they cost, how long they take, what arrives.

In a round each variant is measured once, in a new order, so that what else the machine does meets
all alike; a ratio compares with plain Traefik of the same round. What is reported at the end is
the median of the rounds, and counts are their sums.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from measure import programs
from measure.gateway import Gateway
from measure.programs import Collector, Upstream
from measure.variants import PLAIN, Variant

Row = dict[str, Any]

SETTLE = 0.3
"""Seconds after the load that count as well: the sender's work, and the garbage collector's."""
LONG = 600.0
"""Seconds that a fixed number of calls may take to begin."""
SUMS = ("requests", "finished", "failed", "truncated", "wrong", "bytes_sent", "bytes_received", "reports", "dropped")
RATIOS = ("cpu", "cpu_chunk", "rps", "p50")
DIFFERENCES = ("cpu", "cpu_chunk", "p50", "p99", "first_p50", "lag_p50")


@dataclass(frozen=True)
class Traffic:
    """A kind of load. `count` calls of each connection, or as many as the seconds allow."""

    name: str
    title: str
    connections: int
    events: int = 0
    pause: str = "0s"
    count: int | None = None

    @property
    def parts(self) -> int:
        """Units of one call."""
        return self.events or 1


TRAFFIC = {
    traffic.name: traffic
    for traffic in (
        Traffic("json", "2 KB JSON there and 1.5 KB back, 32 connections", 32),
        Traffic("single", "The same on 1 connection", 1),
        Traffic("stream", "Streams of 200 events, each flushed, as fast as they go, 8 connections", 8, 200),
        Traffic("paced", "Streams of 200 events, each flushed, 5 ms apart, 16 connections", 16, 200, "5ms", 1),
        Traffic("slow", "64 slow streams at a time, 100 events 20 ms apart", 64, 100, "20ms", 1),
        Traffic("ttfb", "First byte of a stream of 5 events 5 ms apart, 1 connection", 1, 5, "5ms"),
    )
}


@dataclass(frozen=True)
class Bench:
    """What stands still while rounds go by."""

    gateway: Gateway
    upstream: Upstream
    collector: Collector
    client: Path
    seconds: float

    def rounds(self, traffic: Traffic, variants: Sequence[Variant], rounds: int, tick: Callable[[], None]) -> Row:
        """Measure; gives one row for each variant, with all its rounds."""
        measured: list[dict[str, Row]] = []
        for _ in range(rounds):
            row: dict[str, Row] = {}
            for variant in random.sample(list(variants), len(variants)):
                row[variant.name] = self.measure(traffic, variant)
                tick()
            measured.append(row)
        rows = {variant.name: summary([row[variant.name] for row in measured]) for variant in variants}
        for variant in variants:
            pairs = [(row[variant.name], row[PLAIN]) for row in measured]
            rows[variant.name].update(compared(pairs), rounds=[row[variant.name] for row in measured])
        return rows

    def warm(self, traffic: Traffic, variants: Sequence[Variant], seconds: float) -> None:
        """Let every variant run once unmeasured: connections, heap and the plugin's first time."""
        for variant in variants:
            self.collector.reset()
            seen = self._load(replace(traffic, count=None), variant, seconds)
            self.collector.wait(variant.key, seen["requests"] if variant.address else 0)

    def measure(self, traffic: Traffic, variant: Variant) -> Row:
        """One run. It ends when the last report has arrived, so that sending is part of what it costs."""
        self.collector.reset()
        truth, cpu = self.upstream.stats(), self.gateway.cpu()
        seen = self._load(traffic, variant, self.seconds)
        over = time.monotonic()
        reported = self.collector.wait(variant.key, seen["requests"] if variant.address else 0)
        time.sleep(max(0.0, SETTLE - (time.monotonic() - over)))
        cpu, told = self.gateway.cpu() - cpu, self.upstream.stats()
        calls = seen["finished"] or None
        latency, first, lag = (seen[name] or {} for name in ("latency", "first", "lag"))
        reports = reported["reports"]
        return {
            **{name: seen[name] for name in ("seconds", "requests", "finished", "failed", "truncated", "wrong")},
            "errors": seen["errors"],
            "cpu": cpu / calls / traffic.parts / 1e9 if calls and variant.proxied else None,
            "cpu_chunk": cpu / seen["pieces"] / 1e9 if seen["pieces"] and variant.proxied else None,
            "rps": seen["finished"] / seen["seconds"],
            "p50": latency.get("p50"),
            "p99": latency.get("p99"),
            "first_p50": first.get("p50"),
            "first_p99": first.get("p99"),
            "lag_p50": lag.get("p50"),
            "lag_p99": lag.get("p99"),
            "pieces": seen["pieces"] / calls if calls else None,
            "bytes_sent": told["bytes"] - truth["bytes"],
            "bytes_received": seen["bytes"],
            "reports": reports if variant.address else None,
            "dropped": reported["dropped"] + reported["failed"] if variant.address else None,
            "wire": reported["wire"] / reports if reports else None,
            "batch": reports / reported["batches"] if reports else None,
        }

    def _load(self, traffic: Traffic, variant: Variant, seconds: float) -> Row:
        limits: dict[str, object] = {"seconds": seconds}
        if traffic.count is not None:
            limits = {"seconds": LONG, "count": traffic.count * traffic.connections}
        url = self.gateway.url_of(variant)
        asked = {"connections": traffic.connections, "events": traffic.events, "pause": traffic.pause}
        return programs.finish(programs.begin(self.client, url, **asked, **limits))


def summary(rounds: Sequence[Row]) -> Row:
    """Medians of what was measured, sums of what was counted."""
    result: Row = {}
    for name in rounds[0]:
        values = [row[name] for row in rounds if row[name] is not None]
        if name == "errors":
            result[name] = {text: sum(v.get(text, 0) for v in values) for v in values for text in v}
        elif not values:
            result[name] = None
        else:
            result[name] = sum(values) if name in SUMS else statistics.median(values)
    return result


def compared(pairs: Sequence[tuple[Row, Row]]) -> Row:
    """Ratios and differences to plain Traefik, each within its round, and their medians."""

    def median(name: str, compare: Callable[[float, float], float]) -> float | None:
        values = [compare(row[name], plain[name]) for row, plain in pairs if row[name] is not None and plain[name]]
        return statistics.median(values) if values else None

    ratios = {f"{name}_ratio": median(name, lambda a, b: a / b) for name in RATIOS}
    return ratios | {f"{name}_added": median(name, lambda a, b: a - b) for name in DIFFERENCES}
