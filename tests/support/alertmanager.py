"""A real Alertmanager with the shipped configuration, and a webhook that keeps what it is told.

with alertmanager.running(folder, pace) as told, prometheus.running(..., alerting=told.alerting):
    told.wait("LlmtokenCollectorDown")             # until it fires
    told.wait("LlmtokenCollectorDown", "resolved")
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from support.collector import wait_for
from support.needs import ROOT, program
from support.ports import free_port
from support.prometheus import hasty, serving

SHIPPED = ROOT / "prometheus" / "alertmanager.yml"


@dataclass
class Told:
    """What Alertmanager told the webhook, newest last, and where Prometheus finds Alertmanager."""

    address: str
    alerts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def alerting(self) -> dict[str, Any]:
        """What Prometheus' configuration says of it."""
        return {"alertmanagers": [{"static_configs": [{"targets": [self.address]}]}]}

    def news(self, name: str, status: str = "firing") -> list[dict[str, Any]]:
        """What it told of one alert."""
        return [alert for alert in self.alerts if alert["labels"]["alertname"] == name and alert["status"] == status]

    def wait(self, name: str, status: str = "firing") -> dict[str, Any]:
        """The first news of an alert; waits for it."""
        return wait_for(lambda: self.news(name, status), 120)[0]


@contextmanager
def running(folder: Path, pace: float) -> Iterator[Told]:
    """Run it on what is shipped, with a receiver that is our webhook and its waits `pace` times shorter."""
    folder.mkdir(parents=True, exist_ok=True)
    with _webhook() as (url, alerts):
        config = yaml.safe_load(hasty(SHIPPED.read_text("utf-8"), pace))
        config["receivers"][0]["webhook_configs"] = [{"url": url, "send_resolved": True}]
        (folder / "alertmanager.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML too
        port = free_port()
        command = [
            program("prometheus-alertmanager", "apt-get install prometheus-alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        with serving(command, port, folder / "alertmanager.log"):
            yield Told(f"127.0.0.1:{port}", alerts)


@contextmanager
def _webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    alerts: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            alerts.extend(json.loads(body)["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", alerts
        server.shutdown()
