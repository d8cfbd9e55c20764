"""What was acknowledged is there after any end: the process killed, or the power cut."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from llmtoken import audit
from support.databases import only_sqlite
from support.needs import ROOT

pytestmark = only_sqlite  # tests/faults kills collectors on both


@contextmanager
def writing(database: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes and acknowledges until it is killed."""
    program = ROOT / "tests" / "support" / "audit_writer.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, program, database], stdout=subprocess.PIPE, env=environment)
    with process:
        yield process
        process.kill()


def acknowledged(process: subprocess.Popen[bytes], at_least: int = 1) -> int:
    """Wait for some more acknowledgements; gives how many rows the last one stood for."""
    assert process.stdout
    return [int(process.stdout.readline()) for _ in range(at_least)][-1]


def drained(process: subprocess.Popen[bytes], last: int) -> int:
    """Read what a stopped or dead process acknowledged last of all."""
    assert process.stdout
    os.set_blocking(process.stdout.fileno(), False)
    rest = process.stdout.read() or b""
    os.set_blocking(process.stdout.fileno(), True)
    complete = rest[: rest.rfind(b"\n") + 1].split()
    return int(complete[-1]) if complete else last


def assert_whole(database: str, rows: int) -> None:
    """The database has every acknowledged row, each with its body and its seal, and is sound."""
    with audit.open(database, seals=True) as store:
        assert store.count() >= rows
        proof = store.verify_seals()
        assert (proof.findings, proof.calls, proof.gaps) == ((), store.count(), ())
        assert store.call(f"r{rows - 1}", bodies=True)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        orphans = "SELECT count(*) FROM calls LEFT JOIN bodies ON call_id = id WHERE call_id IS NULL"
        assert connection.execute(orphans).fetchone() == (0,)


def test_a_cut_at_any_moment_keeps_every_acknowledged_row(database: str, tmp_path: Path) -> None:
    with writing(database) as process:
        for cut in range(10):
            last = acknowledged(process, at_least=random.randint(1, 30))  # noqa: S311
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            rows = drained(process, last)
            copy = tmp_path / f"cut-{cut}.db"
            for suffix in ("", "-wal"):
                shutil.copy(database + suffix, f"{copy}{suffix}")
            process.send_signal(signal.SIGCONT)
            assert_whole(str(copy), rows)


def test_a_killed_collector_keeps_every_acknowledged_row_and_starts_again(database: str) -> None:
    with writing(database) as process:
        last = acknowledged(process, at_least=random.randint(1, 30))  # noqa: S311
        process.kill()
        process.wait()
        rows = drained(process, last)
    assert_whole(database, rows)
