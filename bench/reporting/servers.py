"""The collector and the seed's app as processes of their own, and what they use."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import NullPool, create_engine, func, select, table

SEED = Path(__file__).resolve().parents[3] / "shared" / "seed"

_START_SEED = """
import sys, tiktoken.registry, uvicorn
from llmtoken.count import encodings
tiktoken.registry.ENCODINGS["cl100k_base"] = encodings.load("cl100k_base")  # which it would download
from main import app
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


@dataclass
class Server:
    name: str
    port: int
    database: str
    """As a URL."""
    file: Path
    """Where it is, if it is SQLite's."""
    table: str
    process: subprocess.Popen[bytes] = field(repr=False)

    def cpu(self) -> float:
        """CPU seconds that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, kind: str) -> int:
        """Bytes: `VmRSS` is resident now, `VmHWM` was at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{kind}:"))

    def rows(self) -> int:
        with create_engine(self.database, poolclass=NullPool).connect() as connection:
            return int(connection.execute(select(func.count()).select_from(table(self.table))).scalar_one())


def seed_files(folder: Path) -> None:
    """Write the seed's Python files: each stands in a fence under a heading with its name."""
    pages = sorted(SEED.glob("*.txt"))
    if not pages:
        sys.exit(f"The seed isn't in {SEED}")
    text = pages[0].read_text("utf-8")
    for name in ("main.py", "database.py", "token_utils.py"):
        found = re.search(rf"`{re.escape(name)}`\s*```python\n(.*?)```", text, re.DOTALL)
        if found is None:
            sys.exit(f"{pages[0]} has no {name}")
        (folder / name).write_text(found.group(1), "utf-8")


@contextmanager
def running(name: str, folder: Path, database: str = "") -> Iterator[Server]:
    """Run the seed's app, or the collector on a database of its own, else on this one."""
    folder.mkdir()
    file = folder / ("token_stats.db" if name == "seed" else "llmtoken.db")
    database = database or f"sqlite:///file:{file}?mode=ro&uri=true&timeout=30"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    if name == "seed":
        seed_files(folder)
        command, stored = [sys.executable, "-c", _START_SEED, str(port)], "token_stats"
    else:
        where = file if database.startswith("sqlite") else database
        command, stored = [sys.executable, "-m", "llmtoken", "serve", f"--port={port}", f"--database={where}"], "calls"
    source = str(Path(__file__).resolve().parents[2] / "exporter")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), source]), "PYTHONWARNINGS": "ignore"}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        sys.exit((folder / "log").read_text("utf-8", "replace"))
                    time.sleep(0.05)
            yield Server(name, port, database, file, stored, process)
        finally:
            process.terminate()
