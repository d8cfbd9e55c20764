"""How fast the audit is copied: `python bench/export.py [--rows N] [--format jsonl|csv|parquet]… [--database FILE]`.

Fills a SQLite file with made-up calls (without bodies), exports them all, and prints rows per
second by the clock and by CPU, and the most memory that the process held. Every line is counted
afterwards, and the last one must be the last call.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sqlite3
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from llmtoken import audit
from llmtoken.audit import Filter
from llmtoken.export import FORMATS, File, Job, export

SEEDS = 1000
"""Calls that are written one by one; the others are copies of them."""


def fill(database: str, rows: int) -> None:
    """Calls as the collector writes them, then as many copies with ids of their own as it takes."""
    from audit import record  # noqa: PLC0415 - bench/audit.py, beside this file

    with audit.open(database) as store:
        store.write([record("seed", number, 0) for number in range(min(rows, SEEDS))])
    with closing(sqlite3.connect(database)) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(calls)") if name != "id"]
        others = ", ".join(name for name in columns if name != "request_id")
        while (count := connection.execute("SELECT count(*) FROM calls").fetchone()[0]) < rows:
            connection.execute(
                f"INSERT INTO calls (request_id, {others}) SELECT request_id || '-' || {count}, {others} "  # noqa: S608
                f"FROM calls ORDER BY id LIMIT {rows - count}"
            )
        connection.commit()


def run(database: str, format_: Any, path: Path) -> tuple[int, float, float, float, float]:
    """One export in a process of its own, whose memory is then its own as well."""
    wall, cpu = time.perf_counter(), time.process_time()
    with audit.open_read_only(database) as reader:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        summary = export(reader, Job(database, Filter(), format_), File(path), advanced=lambda _: None)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return summary.calls, wall, cpu, most / 1024, (most - before) / 1024


def written(format_: str, path: Path) -> tuple[int, str]:
    """How many calls the file has, and the last one's request_id."""
    if format_ == "parquet":
        import pyarrow.parquet  # noqa: PLC0415 - an extra

        table = pyarrow.parquet.read_table(path, columns=["request_id"])
        return table.num_rows, table.column("request_id")[-1].as_py()
    with path.open("rb") as file:
        count = -1 if format_ == "csv" else 0
        for line in file:
            count += 1
            last = line
    return count, json.loads(last)["request_id"] if format_ == "jsonl" else last.split(b",")[1].decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="calls (default: %(default)s)")
    parser.add_argument("--format", action="append", choices=FORMATS, help="only this one; default: all")
    parser.add_argument("--database", help="keep the made-up calls in this file, or take those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = options.database or str(Path(folder) / "bench.db")
        if not Path(database).exists():
            fill(database, options.rows)
        audit.open(database).close()  # a database of an older version is migrated
        with closing(sqlite3.connect(database)) as connection:
            expected = connection.execute("SELECT count(*), max(id) FROM calls").fetchone()
            (last,) = connection.execute("SELECT request_id FROM calls WHERE id = ?", expected[1:]).fetchone()
        heads = ("format", "rows", "rows/s", "rows/CPU s", "memory MB", "for it", "file MB")
        print(" ".join(f"{head:>10}" for head in heads))
        for format_ in options.format or FORMATS:
            path = Path(folder) / f"calls.{format_}"
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                rows, wall, cpu, memory, more = process.submit(run, database, format_, path).result()
            assert (rows, *written(format_, path)) == (expected[0], expected[0], last)
            size = path.stat().st_size / 1e6
            numbers = (rows, rows / wall, rows / cpu, memory, more, size)
            print(f"{format_:>10}", *(f"{number:>10.0f}" for number in numbers))


if __name__ == "__main__":
    main()
