"""A real Prometheus that scrapes what a test says, five times a second, and answers PromQL."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.collector import wait_for
from support.needs import program
from support.ports import free_port


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    client: httpx.Client

    def query(self, promql: str, at: float | None = None) -> dict[tuple[tuple[str, str], ...], float]:
        """The instant vector that a query gives now, or at that Unix time: sorted labels and value."""
        parameters = {"query": promql} | ({} if at is None else {"time": str(at)})
        answer = self.client.get("/api/v1/query", params=parameters).raise_for_status().json()
        return {
            tuple(sorted(series["metric"].items())): float(series["value"][1]) for series in answer["data"]["result"]
        }

    def total(self, promql: str) -> float:
        """The one number that a query gives; 0 when there are no series yet."""
        vector = self.query(f"sum({promql})")
        return next(iter(vector.values()), 0.0)

    def label_values(self, label: str, selector: str) -> list[str]:
        """The values that a label has on the series of a selector."""
        answer = self.client.get(f"/api/v1/label/{label}/values", params={"match[]": selector}).raise_for_status()
        values: list[str] = answer.json()["data"]
        return values

    def between(self, promql: str, *, start: float, end: float, step: float) -> list[tuple[float, float]]:
        """The moments and values of the one series that a query gives over a time."""
        parameters = {"query": promql, "start": start, "end": end, "step": step}
        answer = self.client.get("/api/v1/query_range", params=parameters).raise_for_status().json()
        (series,) = answer["data"]["result"]
        return [(moment, float(value)) for moment, value in series["values"]]


@contextmanager
def running(folder: Path, *targets: str, **more: Any) -> Iterator[Prometheus]:
    """Scrape these URLs' `/metrics`. Its files are in `folder`; `more` of its configuration replaces ours."""
    binary = program("prometheus", "apt-get install prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
        "scrape_configs": [job("test", *targets)],
        **more,
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML too
    port = free_port()
    command = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with serving(command, port, folder / "prometheus.log") as client:
        yield Prometheus(client)


def job(name: str, *urls: str) -> dict[str, Any]:
    """A job that scrapes these URLs' `/metrics`."""
    return {"job_name": name, "static_configs": [{"targets": [url.removeprefix("http://") for url in urls]}]}


def hasty(text: str, pace: float) -> str:
    """A file of rules, or of Alertmanager, in which all times are so many times shorter, and nothing else is changed.

    Times stand in brackets after a selector, behind `offset`, as the value of a setting, and in seconds as how far
    `predict_linear` looks ahead.
    """

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[2]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800}[found[3]]
        return f"{found[1]}{round(seconds / pace * 1000)}ms"

    text = re.sub(r"(predict_linear\(.*, )(\d+)\)", lambda found: f"{found[1]}{int(found[2]) / pace})", text)
    return re.sub(r"(\[|offset |(?:for|interval|\w+_wait|\w+_interval): )(\d+)([smhdw])\b", shorter, text)


@contextmanager
def serving(command: list[str], port: int, log: Path) -> Iterator[httpx.Client]:
    """Run a program that answers `/-/ready` on a port of this machine; a client for it."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_for(lambda: _ready(client) or process.poll() is not None)
            assert process.poll() is None, log.read_text("utf-8")
            yield client
    finally:
        process.kill()
        process.wait()


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
