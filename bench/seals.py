"""What seals cost: `python bench/seals.py [--rows N] [--rounds N] [--database URL]`.

Writes made-up calls with and without seals, in turn, and prints the CPU of a row: the best of all rounds. Then holds
all of them against their seals, and prints how many a second that is and how much memory it takes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from uuid import uuid4

from llmtoken import audit

sys.path.insert(0, str(Path(__file__).parent))

from audit import record  # type: ignore[attr-defined]  # of this folder

SIZES = (1000, 30_000)
"""Characters of each body."""

GROUPS = (1, 50, 500)
"""Rows of a transaction."""

KEY = "a secret of the benchmark"

WAYS: dict[str, dict[str, object]] = {
    "without": {},
    "sealed": {"seals": True},
    "with a key": {"seals": True, "seal_keys": [KEY]},
}


def cpu(database: str, way: str, group: int, rows: int, body: int) -> float:
    """CPU µs a row."""
    boot = uuid4().hex
    records = [record(boot, number, body) for number in range(rows)]
    with audit.open(database, **WAYS[way]) as store:  # type: ignore[arg-type]
        began = time.process_time()
        for start in range(0, rows, group):
            store.write(records[start : start + group])
        return (time.process_time() - began) / rows * 1e6


def cost(folder: Path, rows: int, rounds: int) -> None:
    print(
        f"{'body':>7} {'group':>6} {' '.join(f'{way:>11}' for way in WAYS)} {'more':>7} {'with a key':>11}   µs a row"
    )
    for body, group in product(SIZES, GROUPS):
        count = max(rows // (10 if group == 1 else 1), group)
        cpu(str(folder / "warm.db"), "with a key", group, group, body)
        found = {way: float("inf") for way in WAYS}
        for number in range(rounds):
            for way in WAYS:
                database = str(folder / f"{way}-{body}-{group}-{number}.db")
                found[way] = min(found[way], cpu(database, way, group, count, body))
        more = [found[way] - found["without"] for way in ("sealed", "with a key")]
        shown = " ".join(f"{each:>11.1f}" for each in found.values())
        print(f"{body:>7} {group:>6} {shown} {more[0]:>7.1f} {more[1]:>11.1f}", flush=True)


def verifying(database: str, rows: Sequence[int], body: int) -> None:
    print(f"\n{'rows':>9} {'rows/s':>9} {'CPU µs/row':>11} {'peak MB':>9}   bodies of {body} characters")
    with audit.open(database, seals=True) as store:
        there = 0
        for wanted in rows:
            for start in range(there, wanted, 500):
                boot = uuid4().hex
                store.write([record(boot, number, body) for number in range(start, start + 500)])
            there = wanted
            began, used = time.perf_counter(), time.process_time()
            proof = store.verify_seals()
            took, used = time.perf_counter() - began, time.process_time() - used
            assert proof.whole
            assert proof.calls == wanted
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{wanted:>9,} {wanted / took:>9,.0f} {used / wanted * 1e6:>11.1f} {peak:>9.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000, help="rows for each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="how often, in turn (default: %(default)s)")
    parser.add_argument("--verify", type=int, default=100_000, help="rows that are verified (default: %(default)s)")
    parser.add_argument("--database", help="verify in this one instead of a temporary SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cost(Path(folder), options.rows, options.rounds)
        database = options.database or str(Path(folder) / "verified.db")
        verifying(database, (options.verify // 10, options.verify), 1000)


if __name__ == "__main__":
    main()
