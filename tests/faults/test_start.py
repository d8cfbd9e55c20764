"""What `llmtoken serve` says when it can't start, and that it leaves the file alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmtoken import audit
from support.databases import only_postgresql
from support.forked import nursery
from support.records import record


def serve(database: Path | str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")}
    return subprocess.run(
        [sys.executable, "-m", "llmtoken", "serve", "--port=0", f"--database={database}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean,
    )


@pytest.mark.parametrize("damage", ["overwritten", "cut in half", "something else"])
def test_a_damaged_database_stops_the_start_with_a_way_out_and_is_kept(tmp_path: Path, damage: str) -> None:
    database = tmp_path / "llmtoken.db"
    with audit.open(str(database)) as store:
        store.write([record(f"r{number}", response_body="x" * 2000) for number in range(50)])
    sound = database.read_bytes()
    content = {
        "overwritten": sound[:100] + b"\xff" * 8000 + sound[8100:],
        "cut in half": sound[: len(sound) // 2],
        "something else": b"this is no database\n" * 500,
    }[damage]
    database.write_bytes(content)
    done = serve(database)
    assert done.returncode == 2
    assert f"Can't open the database {database}" in done.stderr
    assert "left as it is" in done.stderr
    assert "Traceback" not in done.stderr
    assert database.read_bytes() == content


def test_a_second_collector_on_the_same_file_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with nursery(tmp_path / "data") as forked:
        forked.start()
        done = serve(forked.database)
        assert done.returncode == 2
        assert f"Another collector is using {forked.database} (process {forked.pid})" in done.stderr
        assert "a database of its own" in done.stderr
        report = {"request_body": "{}", "response_body": "{}", "elapsed_time": 1}
        assert forked.collector.report(report).status_code == 200


@only_postgresql
def test_a_second_collector_of_the_same_name_is_refused_and_the_first_goes_on(tmp_path: Path, database: str) -> None:
    with nursery(tmp_path / "data", database=database) as forked:
        forked.start()
        done = serve(database)
        assert done.returncode == 2
        assert "Another collector writes the counters of" in done.stderr
        assert "an `instance` of its own" in done.stderr
        assert "Traceback" not in done.stderr
        report = {"request_body": "{}", "response_body": "{}", "elapsed_time": 1}
        assert forked.collector.report(report).status_code == 200
