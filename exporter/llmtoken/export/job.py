"""One copy, from the first call to the last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from llmtoken.audit import Filter, Reader
from llmtoken.audit.blocks import Field, Span, fields
from llmtoken.errors import ExportError
from llmtoken.export.formats import Csv, Format, JsonLines, Writer
from llmtoken.export.parquet import Parquet
from llmtoken.export.target import State, Target


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be copied. `after`: only calls with larger ids, which arrived later."""

    database: str
    """Its name, to know it again by."""
    which: Filter
    format: Format
    bodies: bool = False
    after: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a copy is: ids from the first to the last, of which some may not fit, and calls that were written."""

    done: int
    total: int
    calls: int
    after: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What was copied. `after` is the id of the last call: the next copy begins behind it."""

    target: str
    calls: int
    after: int
    seconds: float


def export(reader: Reader, job: Job, target: Target, *, advanced: Callable[[Progress], None]) -> Summary:
    """Copy; what was begun goes on as it was. Raises `ExportError`, `ConfigError` and what reading raises."""
    began = time.perf_counter()
    state = target.begun
    if state is None:
        where = reader.span(job.which, job.after)
        job_filter = job.which.model_dump(mode="json", exclude_none=True)
        state = State(job.database, job.format, job.bodies, job_filter, where.after, where.last, 0, 0)
    else:
        job = _as_begun(job, state)
    try:
        with target.open() as file:
            state = _copy(reader, job, target, state=state, file=file, advanced=advanced)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ExportError(
            f"Can't write {target.name}: {error.strerror}", hint="make room, then go on with --resume"
        ) from error
    return Summary(target.name, state.calls, state.after, time.perf_counter() - began)


def _copy(
    reader: Reader, job: Job, target: Target, *, state: State, file: BinaryIO, advanced: Callable[[Progress], None]
) -> State:
    names = fields(with_bodies=job.bodies)
    writer = _writer(file, job.format, names, begun=target.begun is not None)
    # A Parquet file can't be added to once it is closed, so there is nothing to go on with.
    resumable = job.format != "parquet"
    where = Span(state.after, state.last)
    state = msgspec.structs.replace(state, bytes=target.size())
    try:
        for rows in reader.blocks(job.which, where, bodies=job.bodies):
            writer.write(rows)
            # All at once: whoever interrupts us in between finds what was written before these rows.
            after, calls = rows[-1][0], state.calls + len(rows)
            state = msgspec.structs.replace(state, after=after, calls=calls, bytes=target.size())
            if resumable:
                target.save(state)
            advanced(Progress(state.after - where.after, where.last - where.after, state.calls, state.after))
    finally:
        writer.close()
        if resumable:
            target.save(state, now=True)
    return state


def _as_begun(job: Job, state: State) -> Job:
    if state.database != job.database:
        raise ExportError(
            f"The export to be gone on with is one of {state.database}, not of {job.database}",
            hint="name that database, or export anew without --resume",
        )
    format_: Format = msgspec.convert(state.format, Format)
    return Job(job.database, Filter.of(**state.filter), format_, state.bodies)


def _writer(file: BinaryIO, format_: Format, names: tuple[Field, ...], *, begun: bool) -> Writer:
    match format_:
        case "jsonl":
            return JsonLines(file, names)
        case "csv":
            return Csv(file, names, header=not begun)
        case "parquet":
            return Parquet(file, names)
