"""The leash: no program that we started outlives us, even when we are killed outright.

A second, tiny process holds the other end of a pipe. It is told the process groups that
were started (`+pid`) and those that have ended (`-pid`). When the pipe closes, the
supervisor is gone, however it went, and what is still running is stopped. This works on
every POSIX system; Linux's PR_SET_PDEATHSIG would do for one thread's children only.

Run as a script, it must import nothing of llmtoken: it starts with every stack.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

GRACE = 5.0
"""Seconds between asking an orphaned group to stop and killing it."""


class Leash:
    """The supervisor's end of the pipe."""

    def __enter__(self) -> Self:
        """Start the process at the other end, in its own session, out of Ctrl-C's reach."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pipe: what is still running is stopped now."""
        self._process.communicate()

    def hold(self, pid: int) -> None:
        """Stop this process group when we go."""
        self._tell(f"+{pid}\n")

    def release(self, pid: int) -> None:
        """Forget a group that has ended: its number may be another's soon."""
        self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin  # noqa: S101 - Popen was given a pipe
        with suppress(BrokenPipeError):  # somebody killed it: the programs run on, only unguarded
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


def watch(lines: Iterable[str]) -> None:
    """Follow what is running until the pipe closes, then stop all that is left."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    deadline = time.monotonic() + GRACE
    _signal(groups, signal.SIGTERM)
    while groups := {group for group in groups if _alive(group)}:
        if time.monotonic() > deadline:
            _signal(groups, signal.SIGKILL)
            break
        time.sleep(0.05)


def _signal(groups: Iterable[int], number: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    watch(sys.stdin)
