"""How the tests run side by side: how many at once, which files first, and what must have the machine for itself.

`make test` gives each worker of pytest-xdist one file after the other (`--dist loadfile`), so that
what a module starts is started once. What pytest does without workers is as ever.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

LONG = (
    "e2e/test_alerts.py",
    "audit/seals/test_tampering.py",
    "tests/test_counted_once.py",
    "stack/test_up.py",
    "faults/test_killed.py",
    "faults/test_storage.py",
)
"""A minute or more each: the last of them would keep one worker busy alone. Nothing but time depends on it."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, because much of the tests' time is waiting."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first; last the files that have a test which must have the machine for itself."""
    alone = {item.path for item in items if item.get_closest_marker("alone")}

    def place(item: pytest.Item) -> tuple[bool, int]:
        long = (number for number, name in enumerate(LONG) if item.path.match(name))
        return item.path in alone, next(long, len(LONG))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """While a test marked `alone` runs, no other worker runs one: it begins when theirs have ended."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined]
    shared = factory.getbasetemp().parent
    with ExitStack() as held:
        # Who wants to be alone keeps the door closed, so that no others come in meanwhile.
        with ExitStack() as door:
            _lock(door, shared / "door", fcntl.LOCK_EX)
            _lock(held, shared / "room", fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        return (yield)


def _lock(until: ExitStack, path: Path, how: int) -> None:
    fcntl.flock(until.enter_context(path.open("wb")), how)
