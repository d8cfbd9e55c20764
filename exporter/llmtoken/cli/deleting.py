"""Progress of deleting: a bar for each rule on a terminal, nothing anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import MofNCompleteColumn, TaskID, TimeRemainingColumn

from llmtoken import audit
from llmtoken.cli.console import bars, err

Advanced = Callable[[audit.Progress], None] | None


@contextmanager
def progress() -> Iterator[Advanced]:
    """What to call as deleting goes on; nothing when nobody watches."""
    with bars(MofNCompleteColumn(), TimeRemainingColumn()) as shown:
        tasks: dict[str, TaskID] = {}

        def advanced(so_far: audit.Progress) -> None:
            name = f"{so_far.deleted}, {so_far.rule}"
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=so_far.total)
            shown.update(tasks[name], completed=so_far.count)

        yield advanced if err.is_terminal else None


def pause(seconds: float) -> bool:
    """Leave the database to others for that long, and go on."""
    time.sleep(seconds)
    return True
