"""What a committed row costs: `python bench/audit.py [--rows N] [--body BYTES] [--database PATH|URL]`.

Writes made-up calls in groups, each group one transaction synced to the disk, and prints
rows per second and CPU per row. The rows are counted in the database afterwards.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from msgspec.structs import fields

from llmtoken import audit
from llmtoken.call import Call, Record

GROUPS = (1, 10, 50, 500)


def record(boot: str, number: int, body: int) -> Record:
    """A finished chat call; the id as our plugin makes it, the reply's as random as providers make theirs."""
    known = {
        "request_id": f"{boot}-{number}",
        "started_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        "method": "POST",
        "path": "/v1/chat/completions",
        "host": "api.example",
        "http_status": 200,
        "stream": False,
        "aborted": "",
        "operation_name": "chat",
        "provider_name": "openai",
        "server_address": "api.example",
        "server_port": 443,
        "request_model": f"model-{number % 20}",
        "response_model": f"model-{number % 20}-2026-01-01",
        "response_id": f"chatcmpl-{uuid4().hex}",
        "finish_reasons": ("stop",),
        "input_tokens": 250,
        "output_tokens": 200,
        "total_tokens": 450,
        "cache_read_input_tokens": 0,
        "reasoning_output_tokens": 0,
        "usage_source": "reported",
        "duration": 2.5,
        "time_to_first_byte": 2.4,
        "tokens_per_second": 80.0,
        "consumer": f"team-{number % 50}",
        "cost": Decimal("0.002625"),
        "price_version": "2026-01-01",
        "middleware": "llmtoken@file",
        "labels": {"environment": "bench"},
        "request_bytes": body,
        "response_bytes": body,
        "request_truncated": False,
        "response_truncated": False,
        "details": {},
    }
    call = Call(**{field.name: known.get(field.name) for field in fields(Call)})
    return Record(call=call, request_body="q" * body, response_body="a" * body)


def measure(database: str, group: int, rows: int, body: int) -> tuple[float, float, int]:
    """Write `rows` new rows; gives seconds, CPU seconds and how many rows the database has more."""
    boot = uuid4().hex
    records = [record(boot, number, body) for number in range(rows)]
    with audit.open(database) as store:
        before = store.count()
        wall, cpu = time.perf_counter(), time.process_time()
        for start in range(0, rows, group):
            store.write(records[start : start + group])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return wall, cpu, store.count() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="rows for each size of group (default: %(default)s)")
    parser.add_argument("--body", type=int, default=1000, help="characters of each body (default: %(default)s)")
    parser.add_argument("--database", help="write into this one instead of a temporary SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = options.database or str(Path(folder) / "bench.db")
        print(f"{'group':>6} {'rows':>8} {'rows/s':>8} {'CPU µs/row':>11}")
        for group in GROUPS:
            rows = max(options.rows // (10 if group == 1 else 1), group)
            wall, cpu, stored = measure(database, group, rows, options.body)
            print(f"{group:>6} {stored:>8} {stored / wall:>8.0f} {cpu / stored * 1e6:>11.1f}")


if __name__ == "__main__":
    main()
