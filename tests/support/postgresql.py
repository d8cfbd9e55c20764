"""A real PostgreSQL server for tests, in a folder of its own, reached over a Unix socket only.

It never syncs: it is killed and started again, but no test cuts its power.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from support.needs import missing

_NUMBERS = itertools.count()

_CONFIGURATION = """
listen_addresses = ''
fsync = off
full_page_writes = off
max_connections = 60
shared_buffers = 32MB
log_min_messages = warning
"""


@dataclass
class Server:
    """A running server. Its databases are dropped with it."""

    folder: Path
    programs: Path
    _emptied: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        """What a collector is given to use the database of that name."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def create(self) -> str:
        """The URL of a new, empty database."""
        name = f"audit_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def copy(self, template: str) -> str:
        """The URL of a new database that has all that is in the one of this URL, which nobody uses now."""
        name = f"audit_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {name_of(template)} STRATEGY file_copy")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Take a database away, whoever uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        with psycopg.connect(f"postgresql://postgres@/postgres?host={self.folder}", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def start(self) -> None:
        self._control("start", "--wait", f"--log={self.folder / 'server.log'}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` breaks connections off, `immediate` is a crash."""
        self._control("stop", "--wait", f"--mode={mode}")

    def _control(self, action: str, *options: str) -> None:
        data = self.folder / "data"
        self._run("pg_ctl", action, f"--pgdata={data}", "--silent", *options)

    def _run(self, name: str, *arguments: str) -> None:
        # The server refuses to run as root.
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*become, str(self.programs / name), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=self.folder,
        )
        log = self.folder / "server.log"
        assert done.returncode == 0, done.stderr + (log.read_text("utf-8", "replace") if log.exists() else "")


def name_of(url: str) -> str:
    """The database's name in a URL that `Server` made."""
    return url.rpartition("/")[0].rpartition("/")[2] if "?" not in url else url.partition("?")[0].rpartition("/")[2]


@contextmanager
def running() -> Iterator[Server]:
    """Make a server and run it; skips when PostgreSQL isn't installed."""
    programs = _programs()
    # Not in pytest's folder, where another user may not go, and whose path is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="llmtoken-pg-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        folder.chmod(0o755)
        server = Server(folder, programs)
        server._run(
            "initdb", f"--pgdata={folder / 'data'}", "--auth=trust", "--username=postgres", "--no-sync", "-EUTF8"
        )
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"{_CONFIGURATION}unix_socket_directories = '{folder}'\n")
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


def _programs() -> Path:
    """Where the server's programs are: on PATH, or where Debian puts them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return folders[-1].parent if folders else missing("PostgreSQL", "apt-get install postgresql")
