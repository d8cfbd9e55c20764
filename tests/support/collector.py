"""A collector to test against, on a free port of this machine, talked to over real HTTP."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from prometheus_client.parser import text_string_to_metric_families

from llmtoken import config
from llmtoken.server import create_app

T = TypeVar("T")


@dataclass(frozen=True)
class Collector:
    """A running collector: its address, a client for it, and where its database is."""

    url: str
    client: httpx.Client
    database: Path | str

    def report(self, body: Any, **headers: str) -> httpx.Response:
        """Post one report."""
        return self.client.post("/api/report", json=body, headers=headers)

    def lines(self, *lines: Any, **headers: str) -> httpx.Response:
        """Post NDJSON; a line that is bytes goes as it is, anything else as JSON."""
        content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        return self.client.post(
            "/api/report", content=content, headers={"content-type": "application/x-ndjson", **headers}
        )

    def call(self, request_id: str, **more: bool) -> dict[str, Any]:
        """One row of the audit, with its `bodies` or `details` if asked for."""
        answer = self.client.get(f"/api/calls/{request_id}", params=more)
        assert answer.status_code == 200, answer.text
        row: dict[str, Any] = answer.json()
        return row

    def sample(self, name: str, **labels: str) -> float:
        """The sum of the samples of one name whose labels include these."""
        return sum_samples(self.client.get("/metrics").text, name, **labels)


@contextmanager
def running(directory: Path, *, clock: Callable[[], float] = time.time, **settings: Any) -> Iterator[Collector]:
    """Run a collector on a database of its own in `directory`, or on `database`; `clock` is what grace times run on."""
    database = settings.setdefault("database", directory / "llmtoken.db")
    loaded = config.load(None, **{"log_level": "warning", **settings, "database": str(database)})
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(loaded, clock=clock), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        assert server.started, "the collector did not start"
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Collector(url, client, database)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listener.close()


def wait_for(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """The first true value of `condition`; fails when none comes in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return value


def sum_samples(exposition: str, name: str, **labels: str) -> float:
    """The sum of the samples of one name whose labels include these; fails when there is none."""
    values = [
        sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert values, f"no sample {name} {labels}"
    return sum(values)
