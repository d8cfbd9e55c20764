"""Writes rows until it is stopped, and says of each batch, once it is committed, how many there are.

Run as a program by the tests that stop it at a random moment. Often empties its log, so
that moment may fall into that too. Seals what it writes.
"""

import random
import sys

from llmtoken import audit
from support.records import record


def main() -> None:
    with audit.open(sys.argv[1], seals=True) as store:
        with store._connections.writer.raw() as connection:
            connection.cursor().execute("PRAGMA wal_autocheckpoint = 50")
        count = 0
        while True:
            batch = random.randint(1, 20)  # noqa: S311
            body = "x" * random.randint(0, 20_000)  # noqa: S311
            store.write([record(f"r{n}", response_body=body) for n in range(count, count + batch)])
            count += batch
            sys.stdout.write(f"{count}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
