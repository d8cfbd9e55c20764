"""Makes a past: the made-up traffic goes through a real collector, and what it exposes goes into a real Prometheus.

Time can't be hurried, so each exposition is stamped with the time at which it would have been
scraped, and promtool makes blocks of them. Nothing else is made up: calls are read, counted,
priced, stored and exposed as any others are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import httpx

from grafana.pictures.traffic import DAY, HOUR, MINUTE, Traffic

_FORTNIGHT = 14 * DAY

_FINE = 7 * HOUR
"""As much of the end is scraped every minute; before that every hour is enough for the days."""

_LABELS = 'job="llmtoken",instance="collector:8000"'
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


@contextmanager
def prometheus(folder: Path, end: float, span: float = _FORTNIGHT) -> Iterator[httpx.Client]:
    """A Prometheus that knows the fortnight before `end`, or so long, in Unix seconds. Leaves the database there."""
    samples = folder / "samples.txt"
    with _collector(folder) as collector, samples.open("w", encoding="utf-8") as file:
        _replay(collector, file, end - span, end)
    blocks = folder / "blocks"
    promtool = [_program("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=720h", "openmetrics"]
    subprocess.run([*promtool, samples, blocks], check=True, stdout=subprocess.DEVNULL)
    samples.unlink()
    (folder / "prometheus.yml").write_text("{}", "utf-8")
    port = _free_port()
    command = [
        _program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={blocks}",
        "--storage.tsdb.retention.time=1y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with _running(command, folder / "prometheus.log", f"http://127.0.0.1:{port}", "/-/ready") as client:
        yield client


def _replay(collector: httpx.Client, file: TextIO, start: float, end: float) -> None:
    """Send the traffic and write down what is scraped: every hour, and every minute in the end."""
    traffic = Traffic(end)
    begin = now = start // HOUR * HOUR  # so that midnight is scraped
    while now < end:
        step = MINUTE if now >= end - _FINE else HOUR
        reports = [json.dumps(report) for report in traffic.between(now, now + step)]
        now += step
        if reports:
            body = {"content": "\n".join(reports), "headers": {"content-type": "application/x-ndjson"}}
            answer = collector.post("/api/report", **body).raise_for_status().json()
            if answer["rejected"]:
                raise ValueError(f"The collector rejected made-up reports: {answer['rejected'][:3]}")
        exposition = collector.get("/metrics", headers=_OPENMETRICS).raise_for_status().text
        for line in _stamped(exposition, now, late=time.time() - now):
            print(line, file=file)
        _progress((now - begin) / (end - begin))
    print("# EOF", file=file)


def _stamped(exposition: str, now: float, late: float) -> Iterator[str]:
    """The samples as if they had been scraped at that time, which is `late` seconds ago."""
    yield f"up{{{_LABELS}}} 1 {now}"
    for line in exposition.splitlines():
        if match := _SAMPLE.match(line):
            name, labels, value = match.groups()
            if name == "llmtoken_commit_last_timestamp_seconds":
                value = float(value) - late
            yield f"{name}{{{_LABELS}{',' if labels else ''}{labels or ''}}} {value} {now}"


@contextmanager
def _collector(folder: Path) -> Iterator[httpx.Client]:
    port = _free_port()
    serve = ["serve", f"--port={port}", f"--database={folder / 'llmtoken.db'}"]
    command = [sys.executable, "-m", "llmtoken", *serve]
    with _running(command, folder / "collector.log", f"http://127.0.0.1:{port}", "/ready") as client:
        yield client


@contextmanager
def _running(command: list[str], log: Path, url: str, ready: str) -> Iterator[httpx.Client]:
    """A program, once it answers; it is killed in the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=clean)
    try:
        with httpx.Client(base_url=url, timeout=120) as client:
            _wait(lambda: _answers(client, ready) or process.poll() is not None)
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended:\n{log.read_text('utf-8')}")
            yield client
    finally:
        process.kill()
        process.wait()


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).is_success
    except httpx.TransportError:
        return False


def _wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("A program did not answer within a minute: see its log")
        time.sleep(0.05)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not on PATH: install Prometheus, such as apt-get install prometheus")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _progress(done: float) -> None:
    if sys.stderr.isatty():
        print(f"\rreplaying {done:4.0%}", end="" if done < 1 else "\n", file=sys.stderr, flush=True)
