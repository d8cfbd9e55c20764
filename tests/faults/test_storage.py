"""The disk is full, the database is locked: nothing is acknowledged, and all goes on by itself afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from llmtoken import audit
from support import postgresql
from support.collector import wait_for
from support.databases import locked, sql
from support.forked import Forked, nursery
from support.load import load
from support.needs import missing

SIZE = 3 * 1024 * 1024


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own with `SIZE` bytes."""
    folder.mkdir()
    if os.geteuid() != 0:
        missing("the right to mount a small disk", "run the tests as root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "llmtoken-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        missing("the right to mount a small disk", "this container may not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def stored(database: Path | str) -> set[object]:
    return {row[0] for row in sql(database, "SELECT request_id FROM calls")}


def assert_balanced(collector: Forked) -> None:
    with audit.open_read_only(str(collector.database)) as reader:
        assert reader.verify().balanced


def test_a_full_disk_loses_nothing_acknowledged_and_makes_nobody_start_anything_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, nursery(disk) as forked:
        filler = disk / "filler"
        filler.write_bytes(bytes(SIZE // 2))
        forked.start()
        with load(forked.url) as sending:
            wait_for(lambda: 503 in sending.statuses)
            wait_for(lambda: not forked.ready())
            answer = forked.collector.report({"request_body": "x" * 500_000, "response_body": "", "elapsed_time": 1})
            assert (answer.status_code, "disk is full" in answer.text) == (503, True)
            assert int(answer.headers["retry-after"]) >= 1
            assert sending.acknowledged <= stored(forked.database)
            assert forked.client.get("/health").status_code == 200
            filler.unlink()
            sending.more(50)
            wait_for(forked.ready)
            sending.busy.clear()
        assert sending.acknowledged == sending.sent
        assert stored(forked.database) == sending.sent
        assert_balanced(forked)


def test_a_database_that_another_program_locks_is_waited_for_then_refused_and_taken_again(
    tmp_path: Path, database: str
) -> None:
    with nursery(tmp_path / "data", database=database) as forked:
        forked.start()
        with load(forked.url) as sending:
            sending.more(20)
            with locked(database):
                wait_for(lambda: 503 in sending.statuses)
                ready = forked.client.get("/ready")
                assert (ready.status_code, ready.json()["database_writable"]) == (503, False)
            sending.more(20)
            wait_for(forked.ready)
        assert stored(forked.database) == sending.sent == sending.acknowledged
        assert_balanced(forked)


def test_sigterm_under_load_finishes_what_was_taken_and_the_rest_is_sent_to_the_next(
    tmp_path: Path, database: str
) -> None:
    with nursery(tmp_path / "data", database=database) as forked:
        forked.start()
        with load(forked.url) as sending:
            for _ in range(3):
                sending.more(100)
                forked.terminate()
                assert not Path(f"{database}-wal").exists()
                assert sending.acknowledged <= stored(forked.database)
                forked.start()
        assert stored(forked.database) == sending.sent == sending.acknowledged
        assert_balanced(forked)


def test_reports_that_come_twice_and_out_of_order_are_stored_and_counted_once(tmp_path: Path, database: str) -> None:
    def batch(numbers: range) -> list[dict[str, object]]:
        return [
            {"request_id": f"r{n}", "request_body": "{}", "response_body": "{}", "elapsed_time": 1} for n in numbers
        ]

    with nursery(tmp_path / "data", database=database) as forked:
        forked.start()
        for numbers in (range(20, 40), range(10, 30), range(20), range(40)):
            assert forked.collector.lines(*batch(numbers)).status_code == 200
        forked.kill()
        forked.start()
        assert forked.collector.lines(*batch(range(50))).json()["accepted"] == 10
        assert forked.collector.sample("llmtoken_requests_total") == 50
        assert_balanced(forked)


def test_a_clock_that_jumped_loses_nothing(tmp_path: Path, database: str) -> None:
    stamps = ["1970-01-01T00:00:00Z", "2999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]
    with nursery(tmp_path / "data", database=database) as forked:
        forked.start()
        for stamp in stamps:
            report = {"request_body": "", "response_body": "", "elapsed_time": 1, "timestamp": stamp}
            for _ in range(2):
                assert forked.collector.report({**report, "request_id": stamp}).status_code == httpx.codes.OK
        assert stored(forked.database) == set(stamps)
        assert_balanced(forked)


def test_a_database_server_that_stops_is_waited_for_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with postgresql.running() as server, nursery(tmp_path / "data", database=server.create()) as forked:
        forked.start()
        with load(forked.url) as sending:
            for mode in ("fast", "immediate"):
                sending.more(50)
                server.stop(mode)
                wait_for(lambda: not forked.ready())
                answer = forked.collector.report({"request_body": "{}", "response_body": "{}", "elapsed_time": 1})
                assert (answer.status_code, "database server" in answer.text) == (503, True)
                assert int(answer.headers["retry-after"]) >= 1
                assert forked.client.get("/health").status_code == httpx.codes.OK
                assert forked.client.get("/metrics").status_code == httpx.codes.OK
                server.start()
                assert sending.acknowledged <= stored(forked.database)
                sending.more(50)
                wait_for(forked.ready)
        assert stored(forked.database) == sending.sent == sending.acknowledged
        assert_balanced(forked)
