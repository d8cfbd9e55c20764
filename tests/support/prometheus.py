"""A real Prometheus that scrapes what a test says, five times a second, and answers PromQL."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from support.collector import wait_for
from support.needs import program


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

    def over_time(self, promql: str, seconds: float) -> list[tuple[dict[str, str], list[float]]]:
        """Labels and values, one a second up to now, of a range query; what is not a number is left out."""
        now = time.time()
        parameters = {"query": promql, "start": now - seconds, "end": now, "step": 1}
        answer = self.client.get("/api/v1/query_range", params=parameters).raise_for_status().json()
        numbers = [
            (series["metric"], [float(value) for _, value in series["values"]]) for series in answer["data"]["result"]
        ]
        return [(labels, [value for value in values if not math.isnan(value)]) for labels, values in numbers]

    def label_values(self, label: str, selector: str) -> list[str]:
        """The values that a label has on the series of a selector."""
        answer = self.client.get(f"/api/v1/label/{label}/values", params={"match[]": selector}).raise_for_status()
        values: list[str] = answer.json()["data"]
        return values


@contextmanager
def running(folder: Path, *targets: str) -> Iterator[Prometheus]:
    """Scrape these URLs' `/metrics`. Its files are in `folder`."""
    binary = program("prometheus", "apt-get install prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
        "scrape_configs": [
            {"job_name": "test", "static_configs": [{"targets": [url.removeprefix("http://") for url in targets]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML too
    port = _free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_for(lambda: _ready(client) or process.poll() is not None)
            assert process.poll() is None, (folder / "prometheus.log").read_text("utf-8")
            yield Prometheus(client)
    finally:
        process.kill()
        process.wait()


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
