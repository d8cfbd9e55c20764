"""`llmtoken replay`: the progress bar and the account at the end."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from llmtoken import config as configuration
from llmtoken.cli.console import bars, err, out
from llmtoken.replay import Source, Summary, destination, open_source, replay
from llmtoken.replay.run import MOST_ERRORS

_BATCH = 100
"""Reports on one way through: enough to share a commit, few enough for the bar to move."""


def run(location: str, *, to: str | None, config: Path | None, as_json: bool) -> bool:
    """Replay and print what became of it. Returns whether everything was taken."""
    settings = configuration.load(config)
    source = open_source(location, max_line=settings.max_request_bytes)
    columns = (TaskProgressColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with bars(*columns) as progress:
        task = progress.add_task(source.name, total=source.total, rate="")
        told = 0

        def advanced(summary: Summary) -> None:
            nonlocal told
            for place, error in summary.errors[told:]:
                _tell(progress, source, place, error)
            told = len(summary.errors)
            _move(progress, task, source, summary)

        try:
            summary = replay(
                source,
                destination(to, settings),
                batch_reports=min(_BATCH, settings.commit_reports),
                advanced=advanced,
            )
        except KeyboardInterrupt:
            err.print("Interrupted. Run it again to go on: nothing is counted twice.")
            raise
    if summary.rejected > MOST_ERRORS:
        err.print(f"… and {summary.rejected - MOST_ERRORS:,} more were rejected")
    if as_json:
        out.print_json(json.dumps(_plain(summary)))
    else:
        _print(summary)
    return not summary.rejected


def _move(progress: Progress, task: TaskID, source: Source, summary: Summary) -> None:
    rate = summary.read / summary.seconds if summary.seconds else 0.0
    progress.update(task, completed=source.done, rate=f"{summary.read:,} exchanges, {rate:,.0f}/s")


def _tell(progress: Progress, source: Source, place: str, error: str) -> None:
    progress.console.print(Text(f"{source.name}, {place}: {error}", style="yellow"), soft_wrap=True)


def _print(summary: Summary) -> None:
    out.print(
        f"{summary.read:,} read: {summary.new:,} new, {summary.duplicates:,} known already, "
        f"{summary.rejected:,} rejected, in {summary.seconds:.1f} s"
    )
    if summary.tokens is None:
        out.print("Their tokens are on the collector's /metrics and in its audit.")
        return
    out.print(
        f"New tokens: {summary.tokens['input_tokens']:,} in, {summary.tokens['output_tokens']:,} out, "
        f"{summary.tokens['total_tokens']:,} together"
    )
    for title, counted in (("Usage", summary.usage_sources), ("Problems", summary.problems)):
        if counted:
            out.print(f"{title}: " + ", ".join(f"{count:,} {name}" for name, count in counted.most_common()))


def _plain(summary: Summary) -> dict[str, Any]:
    return {field.name: getattr(summary, field.name) for field in fields(summary)} | {
        "errors": [{"place": place, "error": error} for place, error in summary.errors]
    }
