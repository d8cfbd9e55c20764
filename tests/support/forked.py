"""Real collector processes at the price of a fork, for tests that kill many of them.

`nursery` starts one Python process that imports everything and loads the tables once; each `start`
forks it, and the child serves as `llmtoken serve` does, on the same port and database. The
parent keeps the listening socket and has no threads, so a fork is a collector as good as new.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from support.collector import Collector, wait_for
from support.needs import ROOT


@dataclass
class Forked:
    """Collectors on one database, one after the other."""

    url: str
    database: Path | str
    log: Path
    client: httpx.Client
    _parent: subprocess.Popen[bytes]
    pid: int | None = field(default=None)

    @property
    def collector(self) -> Collector:
        return Collector(self.url, self.client, self.database)

    def start(self) -> None:
        """Fork a collector and wait until it takes reports."""
        self.pid = int(self._ask("start"))
        wait_for(self.ready)

    def ready(self) -> bool:
        try:
            return self.client.get("/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed."""
        assert self._end(signal.SIGKILL) == -signal.SIGKILL

    def terminate(self) -> int:
        """SIGTERM, as an operator stops it; how it ended."""
        return self._end(signal.SIGTERM)

    def signal(self, number: int) -> None:
        assert self.pid
        os.kill(self.pid, number)

    def _end(self, number: int) -> int:
        self.signal(number)
        self.pid = None
        return int(self._ask("wait"))

    def _ask(self, word: str) -> bytes:
        assert self._parent.stdin
        assert self._parent.stdout
        self._parent.stdin.write(word.encode() + b"\n")
        self._parent.stdin.flush()
        answer = self._parent.stdout.readline()
        assert answer, self.log.read_text("utf-8", "replace")
        return answer


@contextmanager
def nursery(folder: Path, **settings: object) -> Iterator[Forked]:
    """A parent for collectors whose database is in `folder`, or is `database`; none runs yet."""
    folder.mkdir(parents=True, exist_ok=True)
    database: Any = settings.setdefault("database", folder / "llmtoken.db")
    log = folder.with_name(f"{folder.name}.log")
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    options = json.dumps({"log_level": "warning", **settings, "database": str(database)})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests"), environment.get("PYTHONPATH", "")])
    with log.open("ab") as errors:
        parent = subprocess.Popen(
            [sys.executable, "-m", "support.forked", str(listener.fileno()), options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=[listener.fileno()],
            env=environment,
        )
    with listener, parent, httpx.Client(base_url=url, timeout=30) as client:
        forked = Forked(url, database, log, client, parent)
        try:
            yield forked
        finally:
            if forked.pid is not None:
                forked.kill()


def main() -> None:
    import gc  # noqa: PLC0415 - the tests import this module too, and need none of these

    from llmtoken import config, reading  # noqa: PLC0415
    from llmtoken.server import serve  # noqa: PLC0415

    settings = config.load(None, **json.loads(sys.argv[2]))
    reading.warm_up(settings)
    gc.freeze()
    child = 0
    for word in sys.stdin.buffer:
        if word == b"start\n":
            child = os.fork()
            if child == 0:
                try:
                    serve(settings, sockets=[socket.socket(fileno=int(sys.argv[1]))])
                finally:
                    os._exit(0 if sys.exc_info()[0] is None else 1)
            answer = child
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
