"""Deletes old bodies and calls in small batches until it is killed, and says a word after each batch.

Run as a program by the test that kills it at a random moment.
"""

import sys
from datetime import timedelta

from llmtoken import audit
from llmtoken.audit import Rules, retention


def main() -> None:
    retention._MOST = 64  # the more batches, the more moments

    def pause(_: float) -> bool:
        sys.stdout.write("more\n")
        sys.stdout.flush()
        return True

    with audit.open(sys.argv[1]) as store:
        store.prune(Rules(bodies=timedelta(days=30), calls=timedelta(days=35)), pause=pause)


if __name__ == "__main__":
    main()
