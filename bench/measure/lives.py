"""What a Traefik process is like at its worst: its memory, with a dead collector, at SIGTERM, at kill -9.

Each measurement has a process of its own, since what one leaves behind is what the next would show.
"""

from __future__ import annotations

import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import programs
from measure.gateway import Gateway
from measure.programs import Collector, Upstream
from measure.variants import Variant, keys, ours, plain

Row = dict[str, Any]

CONNECTIONS = 32
FLUSH_INTERVAL = 0.2
"""In seconds, so that what is lost of the last one is known."""
BASELINE = 1.0
"""Seconds of traffic past the plugin, before what follows is compared with it."""
CONTROL = 0.25
"""Minutes that plain Traefik gets at most, to compare with a dead collector."""


@dataclass(frozen=True)
class Lives:
    """Where the processes live, and between which servers."""

    upstream: Upstream
    collector: Collector
    client: Path
    seconds: float
    minutes: float

    # ── Memory ────────────────────────────────────────────────────────────────────────────

    def memory(self, variants: Sequence[Variant], tick: Callable[[], None]) -> dict[str, Row]:
        """Resident memory before, after and at most during JSON calls."""
        rows: dict[str, Row] = {}
        for variant in variants:
            self.collector.reset()
            with self._gateway([variant]) as gateway:
                idle = gateway.memory()
                seen = programs.finish(self._load(gateway, variant, 2 * self.seconds))
                self.collector.wait(variant.key, seen["requests"] if variant.address else 0)
                rows[variant.name] = {
                    "requests": seen["requests"],
                    "rss_idle": idle,
                    "rss": gateway.memory(),
                    "rss_peak": gateway.peak_memory(),
                }
            tick()
        return rows

    def dead(self, variants: Sequence[Variant], tick: Callable[[], None]) -> dict[str, Row]:
        """Memory, goroutines and files while nobody takes the reports: the connection is refused."""
        rows: dict[str, Row] = {}
        with refusing() as nobody:
            for variant in variants:
                minutes = self.minutes if variant.address else min(self.minutes, CONTROL)
                rows[variant.name] = self._dying(variant, nobody, minutes)
                tick()
        return rows

    def _dying(self, variant: Variant, collector: str, minutes: float) -> Row:
        past = plain()
        others = [past] if variant != past else []
        with self._gateway([variant, *others], address=collector) as gateway:
            samples: list[dict[str, int]] = []
            load = self._load(gateway, past, BASELINE)
            time.sleep(BASELINE / 2)
            start = sample(gateway)
            programs.finish(load)
            load = self._load(gateway, variant, minutes * 60)
            while load.poll() is None:
                samples.append(sample(gateway))
                time.sleep(min(1.0, minutes * 60 / 10))
            seen = programs.finish(load)
        row: Row = {"minutes": minutes, "requests": seen["requests"], "finished": seen["finished"]}
        # The load may have ended under the last sample.
        under = samples[:-1] or samples
        for name, first in start.items():
            values = [one[name] for one in under]
            row |= {f"{name}_start": first, f"{name}_peak": max(values), f"{name}_end": values[-1]}
        return {**row, "rss_grown": row["rss_peak"] - row["rss_start"], "samples": samples}

    # ── Ends ──────────────────────────────────────────────────────────────────────────────

    def terminated(self, plugin: Path, tick: Callable[[], None]) -> dict[str, Row]:
        """Which of the finished calls were reported, when an operator stops Traefik."""
        rows = {
            "SIGTERM, traffic goes on": self._ended(plugin, signal.SIGTERM, goes_on=True),
            "SIGTERM, traffic has ended": self._ended(plugin, signal.SIGTERM, goes_on=False),
        }
        if "spooldir" in keys(plugin):
            rows["SIGTERM, collector away"] = self._ended(plugin, signal.SIGTERM, goes_on=True, away=True)
        tick()
        return rows

    def killed(self, plugin: Path, tick: Callable[[], None]) -> dict[str, Row]:
        """The same when it is killed under load."""
        rows = {"kill -9": self._ended(plugin, signal.SIGKILL, goes_on=True)}
        if "spooldir" in keys(plugin):
            rows["kill -9, collector away"] = self._ended(plugin, signal.SIGKILL, goes_on=True, away=True)
        tick()
        return rows

    def _ended(self, plugin: Path, by: signal.Signals, *, goes_on: bool, away: bool = False) -> Row:
        self.collector.reset()
        spooled = "spooldir" in keys(plugin)
        with tempfile.TemporaryDirectory() as spool:
            configuration = {"flushInterval": f"{FLUSH_INTERVAL}s", **({"spoolDir": spool} if spooled else {})}
            variant = ours(folder=plugin, **configuration)
            with self._gateway([variant]) as gateway:
                if away:
                    self.collector.away(yes=True)
                load = self._load(gateway, variant, 60 if goes_on else self.seconds, calls=True)
                if goes_on:
                    time.sleep(self.seconds)
                    at, took = stop(gateway, by)
                    seen = programs.finish(load)
                else:
                    seen = programs.finish(load)
                    at, took = stop(gateway, by)
            finished = {call["number"]: call["finished"] / 1e9 for call in seen.get("calls", ())}
            self._wait_for(variant, set(finished))
            before = self.collector.calls(variant.key)
            self.collector.away(yes=False)
            if spooled:
                with self._gateway([variant]):
                    self._wait_for(variant, set(finished))
            reported = self.collector.calls(variant.key)
        lost = finished.keys() - reported
        late = {number for number in lost if finished[number] > at - FLUSH_INTERVAL}
        return {
            "spool": spooled,
            "seconds": took,
            "finished": len(finished),
            "delivered": len(finished.keys() & before),
            "delivered_later": len(finished.keys() & (reported - before)),
            "lost": len(lost),
            "lost_last_interval": len(late),
            "lost_older": len(lost - late),
            "lost_oldest": max((at - finished[number] for number in lost), default=None),
        }

    # ── Inside ────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _gateway(self, variants: Sequence[Variant], address: str | None = None) -> Iterator[Gateway]:
        addresses = {variant.key: address or self.collector.url_for(variant.key) for variant in variants}
        with (
            tempfile.TemporaryDirectory() as folder,
            Gateway(Path(folder), variants, upstream=self.upstream.url, addresses=addresses) as gateway,
        ):
            yield gateway

    def _load(self, gateway: Gateway, variant: Variant, seconds: float, **options: object) -> Any:
        url = gateway.url_of(variant)
        return programs.begin(self.client, url, connections=CONNECTIONS, seconds=seconds, **options)

    def _wait_for(self, variant: Variant, calls: set[int]) -> None:
        """Wait until all of these were reported, or no more are."""
        seen, news = self.collector.calls(variant.key), time.monotonic()
        while not calls <= seen and time.monotonic() - news < programs.PATIENCE:
            time.sleep(0.05)
            before, seen = seen, self.collector.calls(variant.key)
            if seen != before:
                news = time.monotonic()


def stop(gateway: Gateway, by: signal.Signals) -> tuple[float, float]:
    """Send the signal and wait for the end; gives the time at which it was sent, and how many seconds that took."""
    at = time.time()
    gateway.send_signal(by)
    gateway.wait()
    return at, time.time() - at


def sample(gateway: Gateway) -> dict[str, int]:
    return {"rss": gateway.memory(), "goroutines": gateway.goroutines(), "files": gateway.files()}


@contextmanager
def refusing() -> Iterator[str]:
    """The URL of a port that refuses connections, and that nobody else takes meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/api/report"
