"""What the collector costs and stands: `python bench/collector.py [--only cpu,acknowledgement,scrape,size,soak] …`.

cpu: CPU of the server process for each committed report, beside the seed's app (its Python files, taken out of
../shared/seed) on the same disk, in turn: small and large exchanges, with the provider's usage and without (then both
count tokens), one a request and 50 a request. What counts is rows in the database, not answers. The floor is what
can't be saved: parsing, reading (counting included) and inserting, in this process, without HTTP, threads or metrics.

acknowledgement: how long reports wait for their commit when the collector has 70 % of the load that it can bear.

scrape: what a scrape costs with about 1,000 and 10,000 samples on /metrics, and how much longer reports wait when one
comes every second (Prometheus: every 15), in turn with none.

size: what a call takes in the database, with its bodies and without.

soak: 2,000,000 reports as fast as they are taken: memory, speed and files as the database grows. Takes a while.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from uuid import uuid4

from reporting import load
from reporting.load import Measured
from reporting.reports import CASES, Plugin, exchange, post
from reporting.servers import Server, running

from llmtoken import audit, config, payload, reading
from llmtoken.call import Record
from llmtoken.count import Counter

BATCH = 50
SINGLE_CONNECTIONS, BATCH_CONNECTIONS, PACED_CONNECTIONS = 16, 4, 32
GOALS = {  # how many times less CPU than the seed: one a request, 50 a request
    "small, usage": (10, 35),
    "small, to count": (3, 7),
    "large, usage": (10, 22),
    "large, to count": (1, 1),
}
SMALL = CASES["small, usage"]
SHARE = 0.7
"""Of the load that a collector can bear, for acknowledgements and scrapes."""
ROWS = 10_000
"""Calls in a database, to know what one takes."""
MEBIBYTE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="cpu,acknowledgement,scrape,size", help="which parts (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="load for each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, in turn (default: %(default)s)")
    parser.add_argument("--case", default="", help="cpu: only exchanges with this in their name")
    parser.add_argument("--samples", default="1000,10000", help="scrape: so many on /metrics (default: %(default)s)")
    parser.add_argument("--reports", type=int, default=2_000_000, help="soak: so many (default: %(default)s)")
    parser.add_argument("--database", default="", help="cpu: URL of an empty PostgreSQL database, instead of SQLite")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - {"cpu", "acknowledgement", "scrape", "size", "soak"}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "cpu" in parts:
            cpu(folder, options.case, options.rounds, options.seconds, options.database)
        if "acknowledgement" in parts:
            acknowledgement(folder, options.rounds, options.seconds)
        if "scrape" in parts:
            scrape(folder, [int(samples) for samples in options.samples.split(",")], options.rounds, options.seconds)
        if "size" in parts:
            size(folder)
        if "soak" in parts:
            soak(folder, options.reports)


# ── CPU ─────────────────────────────────────────────────────────────────────────────────


def cpu(folder: Path, case: str, rounds: int, seconds: float, database: str) -> None:
    with running("seed", folder / "seed") as seed, running("llmtoken", folder / "cpu", database) as ours:
        print("CPU µs a committed report (committed reports/s); medians of", rounds)
        print(f"{'':16} {'seed':>14} {'single':>14} {'batch 50':>15} {'floor':>6}  single batch  batch/floor")
        for name, template in CASES.items():
            if case not in name:
                continue
            _full(seed, template, 1, 0.3)  # tables and caches
            _full(ours, template, 1, 0.3)
            runs: dict[str, list[Measured]] = {"seed": [], "single": [], "batch": []}
            floors = []
            for _ in range(rounds):
                runs["seed"].append(_full(seed, template, 1, seconds))
                runs["single"].append(_full(ours, template, 1, seconds))
                runs["batch"].append(_full(ours, template, BATCH, seconds))
                floors.append(_floor(folder, template, 500 if "large" in name else 2000))
            used = {who: statistics.median(each.cpu_per_report for each in found) * 1e6 for who, found in runs.items()}
            speed = {who: statistics.median(each.rate for each in found) for who, found in runs.items()}
            least = statistics.median(floors)
            shown = " ".join(f"{used[who]:>6.0f} ({speed[who]:>5.0f})" for who in runs)
            times = [used["seed"] / used[who] for who in ("single", "batch")]
            print(
                f"{name:16} {shown} {least:>6.0f}  {times[0]:5.1f}x {times[1]:5.1f}x {used['batch'] / least:9.2f}"
                f"   (goal {GOALS[name][0]}x, {GOALS[name][1]}x, 1.5)",
                flush=True,
            )
        print(f"Resident memory at most: {_memory(ours)}", flush=True)


def _full(server: Server, template: bytes, batch: int, seconds: float) -> Measured:
    connections = SINGLE_CONNECTIONS if batch == 1 else BATCH_CONNECTIONS
    return load.full(server, template, batch=batch, connections=connections, seconds=seconds)


def _floor(folder: Path, template: bytes, count: int) -> float:
    """CPU µs a report of parsing, reading and inserting in groups of `BATCH`, in this process and thread."""
    settings, counter = config.load(None), Counter()
    reading.warm_up(settings)
    bodies = [_body(template) for _ in range(max(count // BATCH, 2))]
    with audit.open(str(folder / f"floor-{uuid4().hex}.db")) as store:
        began = time.process_time()
        for body in bodies:
            store.write(_records(body, settings, counter))
        return (time.process_time() - began) / store.count() * 1e6


def _body(template: bytes) -> bytes:
    return Plugin().request([template] * BATCH).partition(b"\r\n\r\n")[2]


def _records(body: bytes, settings: config.Settings, counter: Counter) -> list[Record]:
    content = payload.parse(body, form="lines", gzipped=False, limit=1 << 30)
    return [reading.read(report, settings, counter).record for report in content.reports]


# ── Acknowledgements ────────────────────────────────────────────────────────────────────


def acknowledgement(folder: Path, rounds: int, seconds: float) -> None:
    print(f"\nFrom when a request was due to its acknowledgement, at {SHARE:.0%} of the load that is borne; ms")
    print(f"{'':10} {'reports/s':>10} {'p50':>8} {'p99':>8} {'worst':>8}   (goal: p99 of 250)")
    with running("llmtoken", folder / "acknowledgement") as ours:
        for batch in (1, BATCH):
            _full(ours, SMALL, batch, 0.3)
            rate = SHARE * _full(ours, SMALL, batch, seconds).rate
            runs = [_paced(ours, batch, rate, seconds) for _ in range(rounds)]
            waits = [statistics.median(each.wait(quantile) for each in runs) * 1e3 for quantile in (0.5, 0.99, 1)]
            print(f"batch {batch:<4} {rate:>10,.0f} {waits[0]:8.1f} {waits[1]:8.1f} {waits[2]:8.1f}", flush=True)


def _paced(server: Server, batch: int, rate: float, seconds: float) -> Measured:
    return load.paced(server, SMALL, batch=batch, connections=PACED_CONNECTIONS, rate=rate, seconds=seconds)


# ── Scrapes ─────────────────────────────────────────────────────────────────────────────


def scrape(folder: Path, sizes: Sequence[int], rounds: int, seconds: float) -> None:
    print(f"\nA scrape every second, in turn with none, at {SHARE:.0%} of the load that is borne; ms")
    print(
        f"{'samples':>8} {'bytes':>10} {'CPU':>7} {'time':>7} {'time in load':>13} {'p99':>8} {'with':>8}  (goal: +50)"
    )
    for samples in sizes:
        with running("llmtoken", folder / f"scrape-{samples}") as ours:
            _spread(ours, samples)
            alone, began = [_scrape(ours)[1] for _ in range(3)], ours.cpu()
            alone += [_scrape(ours)[1] for _ in range(10)]
            used = (ours.cpu() - began) / 10
            rate = SHARE * _full(ours, SMALL, BATCH, seconds).rate
            without, with_ = [], []
            meanwhile: list[float] = []
            for _ in range(rounds):
                without.append(_paced(ours, BATCH, rate, seconds).wait(0.99))
                with load.repeatedly(lambda: meanwhile.append(_scrape(ours)[1]), 1.0):  # noqa: B023 - within the loop
                    with_.append(_paced(ours, BATCH, rate, seconds).wait(0.99))
            text, _ = _scrape(ours)
            print(
                f"{_count(text):>8,} {len(text):>10,} {used * 1e3:7.1f} {statistics.median(alone) * 1e3:7.1f}"
                f" {statistics.median(meanwhile) * 1e3:13.1f} {statistics.median(without) * 1e3:8.1f}"
                f" {statistics.median(with_) * 1e3:8.1f}",
                flush=True,
            )


def _spread(server: Server, samples: int) -> None:
    """Send reports of ever more models and consumers until there are so many samples."""
    pairs, plugin = count(), Plugin()
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        while _count(_scrape(server)[0]) < samples:
            # Along diagonals: as many models as consumers, each with several of the other.
            numbers = [next(pairs) for _ in range(samples // 100)]
            names = [(f"model-{number % 60}", f"team-{number % 59}") for number in numbers]
            post(
                connection,
                plugin.request([exchange(300, 200, usage=True, model=each[0], consumer=each[1]) for each in names]),
            )


def _scrape(server: Server) -> tuple[bytes, float]:
    """The exposition, and how many seconds it took."""
    began = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60) as answer:
        text: bytes = answer.read()
    return text, time.monotonic() - began


def _count(exposition: bytes) -> int:
    return sum(not line.startswith(b"#") for line in exposition.splitlines())


# ── Size ────────────────────────────────────────────────────────────────────────────────


def size(folder: Path) -> None:
    counter = Counter()
    print(f"\n{'bytes of the database for each call':36} {'bodies kept':>12} {'dropped':>12}")
    for name in ("small, usage", "large, usage"):
        sizes = []
        for capture in ("full", "none"):
            settings, path = config.load(None, capture_bodies=capture), folder / f"size-{uuid4().hex}.db"
            with audit.open(str(path)) as store:
                for _ in range(ROWS // BATCH):
                    store.write(_records(_body(CASES[name]), settings, counter))
            sizes.append(path.stat().st_size / ROWS)
        print(f"{name:36} {sizes[0]:12,.0f} {sizes[1]:12,.0f}", flush=True)


# ── Soak ────────────────────────────────────────────────────────────────────────────────


def soak(folder: Path, reports: int) -> None:
    print(f"\n{reports:,} reports, {BATCH} a request")
    print(f"{'rows':>10} {'reports/s':>10} {'CPU µs':>7} {'resident':>10} {'bytes a row':>12} {'log':>10}")
    with running("llmtoken", folder / "soak") as ours:
        for _ in range(10):
            done = load.reports(ours, SMALL, batch=BATCH, connections=BATCH_CONNECTIONS, total=reports // 10)
            rows, log = ours.rows(), ours.file.with_name(f"{ours.file.name}-wal")
            print(
                f"{rows:>10,} {done.rate:>10,.0f} {done.cpu_per_report * 1e6:7.0f} {_memory(ours, now=True):>10}"
                f" {ours.file.stat().st_size / rows:12,.0f} {log.stat().st_size / MEBIBYTE:6.0f} MiB",
                flush=True,
            )
        print(f"Resident memory at most: {_memory(ours)}", flush=True)
        if rows != reports // 10 * 10:
            sys.exit(f"{rows:,} rows of {reports // 10 * 10:,} acknowledged reports")


def _memory(server: Server, *, now: bool = False) -> str:
    return f"{server.memory('VmRSS' if now else 'VmHWM') / MEBIBYTE:.0f} MiB"


if __name__ == "__main__":
    main()
