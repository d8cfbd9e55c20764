"""Time to the first byte and lag of every chunk of a paced event stream: `.venv/bin/python bench/ttfb.py`.

The same stream directly, through Traefik and through Traefik with the plugin, in turn and in a new
order each round, so that what else the machine does meets all three alike. Upstream and
collector run in processes of their own. A chunk carries the time at which it was sent; its lag
is how much later the client had it. Traefik breaks some streams off that begin at once: those
are counted and not measured.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.recorder import Recorder
from support.stage import request
from support.traefik import Traefik
from support.upstream import upstream
from support.wire import Head, Wire

ROUNDS = 300
WARM_UP = 20
CHUNKS = 10
PAUSE = 0.005
"""Seconds between chunks."""

ASK = request("POST", "/v1/chat/completions", "Content-Length: 2") + b"{}"


def stream(wire: Wire, head: Head) -> None:
    """The upstream's script: chunks of about 200 bytes that begin with the time."""
    wire.read_body(head)
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(CHUNKS):
        if number:
            time.sleep(PAUSE)
        wire.send_chunk(b"%d " % time.monotonic_ns() + b"x" * 180 + b"\n\n")
    wire.send_chunk(b"")


def collector() -> AbstractContextManager[str]:
    @contextmanager
    def running() -> Iterator[str]:
        with Recorder() as recorder:
            yield recorder.url

    return running()


@contextmanager
def elsewhere(server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """Run a server in a process of its own; gives its URL."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(server, theirs), daemon=True)
    process.start()
    yield ours.recv()
    ours.send("enough")
    process.join()


def serve(server: Callable[[], AbstractContextManager[str]], connection: Connection) -> None:
    with server() as url:
        connection.send(url)
        connection.recv()


class Route:
    """One way to the upstream, and what was measured on it in milliseconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wire = Wire.to(url)
        self.firsts: list[float] = []
        self.lags: list[float] = []
        self.broken = 0

    def measure(self) -> None:
        try:
            first, lags = play(self._wire)
        except EOFError:
            self.broken += 1
            self._wire.close()
            self._wire = Wire.to(self._url)
        else:
            self.firsts.append(first)
            self.lags.extend(lags)

    def forget(self) -> None:
        self.firsts, self.lags, self.broken = [], [], 0


def play(wire: Wire) -> tuple[float, list[float]]:
    """One stream: milliseconds to its first byte, and each chunk's lag."""
    lags = []
    start = time.monotonic_ns()
    wire.send(ASK)
    wire.read_head()
    first = wire.read_chunk()
    came = time.monotonic_ns()
    chunk = first
    while chunk:
        lags.append((time.monotonic_ns() - int(chunk.split()[0])) / 1e6)
        chunk = wire.read_chunk()
    wire.read_until(b"\r\n")
    return (came - start) / 1e6, lags


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def show(what: str, measured: dict[str, list[float]]) -> None:
    plain = measured["Traefik"]
    for name, values in measured.items():
        p50, p99 = percentile(values, 50), percentile(values, 99)
        more = f"{p50 - percentile(plain, 50):+7.3f} {p99 - percentile(plain, 99):+7.3f}" if values is not plain else ""
        print(f"{what:18} {name:17} {p50:8.3f} {p99:8.3f}  {more}".rstrip())


def main() -> None:
    with (
        elsewhere(lambda: upstream(stream)) as url,
        elsewhere(collector) as reports,
        tempfile.TemporaryDirectory() as folder,
        Traefik(Path(folder), upstream=url, middleware={"apiurl": reports}) as traefik,
    ):
        routes = {"direct": Route(url), "Traefik": Route(traefik.plain_url), "with the plugin": Route(traefik.url)}
        for number in range(WARM_UP + ROUNDS):
            if number == WARM_UP:
                for route in routes.values():
                    route.forget()
            for name in random.sample(list(routes), len(routes)):
                routes[name].measure()
    print(f"{ROUNDS} streams each way, {CHUNKS} chunks, {PAUSE * 1000:.0f} ms apart; milliseconds")
    print(f"{'':36} {'p50':>8} {'p99':>8}   to plain Traefik")
    show("first byte after", {name: route.firsts for name, route in routes.items()})
    show("a chunk's lag", {name: route.lags for name, route in routes.items()})
    print("broken off:", ", ".join(f"{name} {route.broken}" for name, route in routes.items()))


if __name__ == "__main__":
    main()
