"""How long questions to a large audit take while it is written to: `python bench/queries.py [--rows N] [--runs N]`.

Makes a database of N calls over 30 days (20 models, 50 consumers, one call in fifty failed, some things rare),
lets this version migrate it, and asks lists with each filter, first and deep pages, what was said, one call, and usage,
while another process commits groups of 50 calls all the time. Prints the median, the 95th percentile
and the CPU of the median, each in milliseconds; the goal is 50.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from llmtoken import audit
from llmtoken.audit import Filter, Reader, migrate, search
from llmtoken.audit.connect import connect

GOAL = 50.0
DAYS = 30
BEGAN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)

_CALLS = """
INSERT INTO calls (request_id, started_at, method, path, host, http_status, stream, aborted, operation_name,
    provider_name, server_address, server_port, request_model, response_model, response_id, finish_reasons, error_type,
    input_tokens, output_tokens, total_tokens, cache_read_input_tokens, reasoning_output_tokens, usage_source, duration,
    time_to_first_byte, tokens_per_second, consumer, cost, price_version, middleware, labels, request_bytes,
    response_bytes, request_truncated, response_truncated, details)
WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :last),
dice AS MATERIALIZED (
    SELECT n, abs(random()) % 20 AS model, abs(random()) % 50 AS consumer, abs(random()) % 1000 AS luck FROM numbers
)
SELECT 'bench-' || n,
    strftime('%Y-%m-%dT%H:%M:%f', :began + n * :step, 'unixepoch') || '000Z',
    'POST', '/v1/chat/completions', 'api.example',
    CASE WHEN luck < 10 THEN 429 WHEN luck < 15 THEN 500 WHEN n % 20011 = 7 THEN 418 ELSE 200 END,
    0, '', CASE WHEN n % 50021 = 11 THEN 'embeddings' ELSE 'chat' END,
    CASE WHEN n % 10007 = 3 THEN 'rare' ELSE 'provider-' || (model % 4) END,
    'api.example', 443,
    CASE WHEN n % 10007 = 3 THEN 'rare-model' WHEN n % 50021 = 11 THEN 'embedder' ELSE 'model-' || model END,
    CASE WHEN n % 30011 = 5 THEN 'model-' || model || '-preview' ELSE 'model-' || model || '-2026-01-01' END,
    'chatcmpl-' || lower(hex(randomblob(12))), '["stop"]',
    CASE WHEN luck < 10 THEN 'rate_limit' WHEN luck < 15 THEN 'server_error' WHEN n % 20011 = 7 THEN 'teapot' END,
    250, 200, 450, 0, 0, 'reported', 2.5, 2.4, 80.0, 'team-' || consumer, '0.00' || (1000 + n % 9000), '2026-01-01',
    'llmtoken@file', '{"environment":"bench"}', 300, 300, 0, 0, '{}'
FROM dice
"""
_BODIES = """
INSERT INTO bodies (call_id, request_body, response_body)
SELECT id, '{"messages":[{"role":"user","content":"What is ' || id || ' in words, ' || consumer || '?"}]}',
    '{"choices":[{"message":{"role":"assistant","content":"It is ' || response_id || ', says '
        || request_model || '."}}]}'
FROM calls WHERE id > :first
"""
_SEARCH = """
INSERT INTO search (rowid, said) SELECT call_id, request_body || ' ' || response_body FROM bodies WHERE call_id > :first
"""
_AT_ONCE = 50_000


def build(database: str, rows: int) -> None:
    """Make the calls by SQL alone, in the schema from before there were daily sums: an upgrade fills these."""
    connections = connect(database, busy_timeout=5)
    with connections.writer.begin() as connection:
        migrate.upgrade(connection, "0006")
        search.switch(connection, on=True)
    step = DAYS * 86400 / rows
    for first in range(0, rows, _AT_ONCE):
        with connections.writer.begin() as connection:
            last = {"first": first, "last": min(first + _AT_ONCE, rows), "began": int(BEGAN.timestamp()), "step": step}
            connection.exec_driver_sql(_CALLS, last)
            connection.exec_driver_sql(_BODIES, {"first": first})
            connection.exec_driver_sql(_SEARCH, {"first": first})
    with connections.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE search_progress SET indexed_from = 0")
    connections.close()


def write(database: str) -> None:
    """Commit groups of 50 until somebody kills us; a line each."""
    from audit import record  # noqa: PLC0415 - bench/audit.py beside this file, where it is run as a program

    with audit.open(database) as store:
        boot, number = uuid4().hex, 0
        while True:
            made = (record(boot, number + n, 300) for n in range(50))
            now = datetime.now(UTC)
            store.write([replace(each, call=replace(each.call, started_at=now)) for each in made])
            number += 50
            print(number, flush=True)
            time.sleep(0.02)


@contextmanager
def being_written(database: str) -> Iterator[subprocess.Popen[str]]:
    """A writer in a process of its own."""
    command = [sys.executable, __file__, "--write", database]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        yield writer
        assert writer.poll() is None, "the writer died"
    finally:
        writer.kill()
        rest, _ = writer.communicate()
        print(f"meanwhile the writer committed {rest.split()[-1] if rest else 0} calls")


@dataclass(frozen=True)
class Question:
    """What is asked, and how many rows answer it."""

    name: str
    ask: Callable[[], int]


def questions(reader: Reader, rows: int) -> Iterator[Question]:
    middle = BEGAN + timedelta(days=DAYS / 2)
    filters: dict[str, dict[str, Any]] = {
        "no filter": {},
        "since a day ago": {"since": BEGAN + timedelta(days=DAYS - 1)},
        "until the middle": {"until": middle},
        "model": {"model": "model-3"},
        "provider": {"provider": "provider-2"},
        "consumer": {"consumer": "team-7"},
        "status 200": {"status": "200"},
        "status 5xx": {"status": "5xx"},
        "error": {"error": "true"},
        "error of a kind": {"error": "server_error"},
        "model and consumer": {"model": "model-3", "consumer": "team-7"},
        "model, consumer, failed": {"model": "model-3", "consumer": "team-7", "error": "true"},
        "provider and status 429": {"provider": "provider-2", "status": "429"},
        "a rare provider": {"provider": "rare"},
        "a rare status": {"status": "418"},
        "a rare response model": {"response_model": "model-3-preview"},
        "a rare operation": {"operation": "embeddings"},
        "a consumer who isn't there": {"consumer": "nobody"},
        "a provider that isn't there": {"provider": "nobody"},
        "said: a word of one call": {"q": str(rows // 3)},
        "said: a word of every 20th call": {"q": '"model 3"'},
        "said: a word of all calls": {"q": "what"},
        "said: two words": {"q": '"model 3" "team 7"'},
        "said: a word nobody said": {"q": "unheard-of"},
    }
    for name, given in filters.items():
        which = Filter.of(**given)
        yield Question(f"list, {name}", lambda which=which: len(reader.list(which, 100).calls))
        if "since" in given:
            continue
        deep = reader.list(Filter.of(**{"until": middle, **given}), 100).next_cursor
        if deep is not None:
            yield Question(f"list, {name}, deep", lambda w=which, d=deep: len(reader.list(w, 100, d).calls))
    yield Question("show", lambda: len([reader.call(f"bench-{rows // 2}", details=True, bodies=True)]))
    for group_by in (
        "",
        "day",
        "month",
        "model",
        "consumer",
        "provider",
        "status",
        "error",
        "day,model",
        "day,consumer",
    ):
        names = [name for name in group_by.split(",") if name]
        yield Question(f"usage by {group_by or 'nothing'}", lambda names=names: len(reader.usage(Filter(), names)))
    for group_by, given in (
        ("day", {"consumer": "team-7"}),
        ("model", {"consumer": "team-7"}),
        ("consumer", {"model": "model-3"}),
        ("model", {"since": BEGAN + timedelta(days=3)}),
        ("day", {"since": datetime.now(UTC) - timedelta(days=7)}),
    ):
        which = Filter.of(**given)
        told = ", ".join(f"{name} {value:%d %b %H:%M}" if name == "since" else value for name, value in given.items())
        yield Question(f"usage by {group_by}, {told}", lambda g=group_by, w=which: len(reader.usage(w, [g])))


def measure(question: Question, runs: int) -> tuple[float, float, float, int]:
    """Median, 95th percentile, CPU of the median, in milliseconds, and how many rows were answered."""
    walls, cpus = [], []
    answered = question.ask()
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.thread_time()
        question.ask()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.thread_time() - cpu) * 1e3)
    return statistics.median(walls), sorted(walls)[int(len(walls) * 0.95)], statistics.median(cpus), answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="calls in the database (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=20, help="times that each is asked (default: %(default)s)")
    parser.add_argument("--keep", metavar="PATH", help="where to make the database, or find one of an earlier run")
    parser.add_argument("--write", metavar="DATABASE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.write)
    with tempfile.TemporaryDirectory() as folder:
        database = options.keep or str(Path(folder) / "bench.db")
        if not Path(database).exists():
            began = time.perf_counter()
            build(database, options.rows)
            made = time.perf_counter()
            with audit.open(database) as store:
                migrated = time.perf_counter()
                assert store.verify().balanced, "llmtoken audit verify says what differs"
                proved = time.perf_counter()
            print(f"{options.rows} calls made in {made - began:.0f} s", end=", ")
            print(f"migrated in {migrated - made:.0f} s, verified in {proved - migrated:.0f} s")
        with being_written(database), audit.open_read_only(database) as reader:
            print(f"{'':44} {'p50 ms':>8} {'p95 ms':>8} {'CPU ms':>8} {'rows':>6}")
            slow = 0
            for question in questions(reader, options.rows):
                median, high, cpu, rows = measure(question, options.runs)
                slow += median > GOAL
                print(f"{question.name:44} {median:8.1f} {high:8.1f} {cpu:8.1f} {rows:6}" + " *" * (median > GOAL))
            print(f"* {slow} above {GOAL:.0f} ms" if slow else f"all within {GOAL:.0f} ms")


if __name__ == "__main__":
    main()
