"""`llmtoken audit export`: where the copy goes, the progress bar, and how to go on after an interruption."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from llmtoken import audit, export
from llmtoken.audit import Filter
from llmtoken.cli.console import bars, err, out, print_json
from llmtoken.config import Settings
from llmtoken.errors import ConfigError, LlmtokenError
from llmtoken.export import File, Job, Stream, Summary, Target


def run(
    name: str,
    settings: Settings,
    given: Mapping[str, str],
    *,
    format_: str | None,
    bodies: bool,
    after: int,
    resume: bool,
    as_json: bool,
) -> None:
    """Copy the calls that fit to `name`, a path or `-`. Raises our own errors; ends quietly when nobody reads on."""
    target = _target(name, resume=resume, as_json=as_json)
    begun = target.begun
    if begun is not None and (given or bodies or after or format_):
        raise ConfigError("What goes on, goes on as it was begun", hint="give --resume without filters and formats")
    chosen = begun.format if begun else format_ or ("jsonl" if name == "-" else export.format_of(name))
    if chosen not in export.FORMATS:
        raise ConfigError(f"{chosen} isn't a format", hint=f"give {', '.join(export.FORMATS)}")
    job = Job(audit.shown(settings.database), Filter.of(**given), chosen, bodies, after)
    try:
        summary = _copy(settings, job, target)
    except BrokenPipeError:
        # Whoever read us has enough. What is still in the buffer must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    _tell(summary, to_stream=name == "-", as_json=as_json)


def _target(name: str, *, resume: bool, as_json: bool) -> Target:
    if name != "-":
        return File(Path(name), resume=resume)
    if resume or as_json:
        raise ConfigError("--resume and --json need a file to export to", hint="name one, or give --after instead")
    return Stream(sys.stdout.buffer, "standard output")


def _copy(settings: Settings, job: Job, target: Target) -> Summary:
    after = job.after
    columns = (TaskProgressColumn(), TextColumn("{task.fields[calls]}"), TimeRemainingColumn())
    with audit.open_read_only(settings.database) as reader, bars(*columns) as bar:
        task = bar.add_task(target.name, total=None, calls="")

        def advanced(so_far: export.Progress) -> None:
            nonlocal after
            after = so_far.after
            bar.update(task, total=so_far.total, completed=so_far.done, calls=f"{so_far.calls:,} calls")

        try:
            return export.export(reader, job, target, advanced=advanced)
        except (KeyboardInterrupt, LlmtokenError):
            if after != job.after or target.begun is not None:
                _how_to_go_on(job, target, after)
            raise


def _how_to_go_on(job: Job, target: Target, after: int) -> None:
    if isinstance(target, Stream):
        say = (
            f"Interrupted. What was written ends with call {after}: go on with --after {after}, and --until as before."
        )
    elif job.format == "parquet":
        say = (
            f"Interrupted. {target.name}.part has all calls up to {after}: go on with --after {after} to another file."
        )
    else:
        say = f"Interrupted. Go on with: llmtoken audit export {target.name} --resume"
    err.print(Text(say), soft_wrap=True)


def _tell(summary: Summary, *, to_stream: bool, as_json: bool) -> None:
    if as_json:
        found: dict[str, Any] = asdict(summary)
        print_json(found)
        return
    text = (
        f"{summary.calls:,} calls exported to {summary.target} in {summary.seconds:.1f} s; "
        f"what arrives from now on, exports --after {summary.after}"
    )
    if not to_stream:
        out.print(Text(text), soft_wrap=True)
    elif err.is_terminal:
        err.print(Text(text), soft_wrap=True)
