"""The collector as people run it: a process of its own that can be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from support.collector import wait_for
from support.ports import free_port


@dataclass
class CollectorProcess:
    """`llmtoken serve` on a port and a database file that stay the same over restarts."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "llmtoken.db"

    @property
    def log(self) -> str:
        return (self.folder / "collector.log").read_text("utf-8", "replace")

    def start(self) -> None:
        """Start it and wait until it takes reports."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")}
        with (self.folder / "collector.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "llmtoken", "serve", f"--port={self.port}", f"--database={self.database}"],
                stdout=log,
                stderr=log,
                env={**clean, **self.environment},
            )
        self._process = process
        wait_for(lambda: self._ready() or process.poll() is not None)
        assert process.poll() is None, self.log

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> int:
        """SIGTERM, as an operator stops it; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=30)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
