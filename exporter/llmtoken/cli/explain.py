"""`llmtoken explain`: finds the exchange, and prints how it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import fields
from rich.table import Table
from rich.text import Text

from llmtoken import audit
from llmtoken import config as configuration
from llmtoken.cli.console import out
from llmtoken.config import Settings
from llmtoken.count import Calibration
from llmtoken.errors import NotFound, ReplayError, ReportError
from llmtoken.explain import Explanation, Fact, Step, explain
from llmtoken.replay import open_source
from llmtoken.replay.recorded import line as one_line
from llmtoken.replay.recorded import stored_call
from llmtoken.report import Report

_SHOWN = 400
"""Characters of a value that are printed; `--json` has all of it."""


def show(exchange: str, *, line: int | None, database: str | None, config: Path | None, as_json: bool) -> None:
    """Print the explanation of a line in a file, or of a call in the database. Raises our own errors."""
    settings = configuration.load(config, database=database)
    if Path(exchange).is_file():
        stored: dict[str, Any] = {}
        elsewhere = None
        explanation = explain(_in_file(exchange, line, settings), settings)
    else:
        stored, elsewhere, calibration = _in_database(exchange, settings)
        explanation = explain(stored_call(stored), settings, calibration)
    steps = (*explanation.steps, *_compared(stored, elsewhere, explanation))
    if as_json:
        out.print_json(msgspec.json.encode(msgspec.structs.asdict(_Plain.of(explanation, steps))).decode())
    else:
        _print(explanation, steps)


class _Plain(msgspec.Struct):
    steps: tuple[Step, ...]
    call: Any
    problems: dict[str, str]
    defects: tuple[str, ...]

    @classmethod
    def of(cls, explanation: Explanation, steps: tuple[Step, ...]) -> _Plain:
        return cls(steps, explanation.call, explanation.problems, explanation.defects)


# ── Finding it ──────────────────────────────────────────────────────────────────────────


def _in_file(name: str, line: int | None, settings: Settings) -> Report:
    """A line of a file; without `line` also a report that is spread over several lines."""
    if line is None:
        data = Path(name).read_bytes()
        try:
            return one_line(data)
        except ReportError:
            line = 1
    place = f"line {line}"
    for item in open_source(name, max_line=settings.max_request_bytes):
        if item.place == place:
            if item.report is None:
                raise ReplayError(f"{name}, {place}: {item.error}", hint="see docs/replay.md for what a line may be")
            return item.report
    raise NotFound(f"{name} has nothing on {place}", hint="count from 1; blank lines count, but hold nothing")


def _in_database(request_id: str, settings: Settings) -> tuple[dict[str, Any], str | None, Calibration]:
    """A call with its bodies, who else counts its reply, and what that database has taught about counting."""
    with audit.open_read_only(settings.database) as reader:
        row = reader.call(request_id, details=True, bodies=True)
        elsewhere = reader.counted_by(request_id)
        lessons = reader.lessons()
    if row is None:
        raise NotFound(
            f"There is neither a file nor a call {request_id} in {audit.shown(settings.database)}",
            hint="check the path or the request_id, or name another database with --database",
        )
    return row, elsewhere, Calibration(lessons)


def _compared(stored: dict[str, Any], elsewhere: str | None, explanation: Explanation) -> tuple[Step, ...]:
    """What the database has otherwise than it is read now."""
    if not stored:
        return ()
    now = msgspec.json.decode(msgspec.json.encode(explanation.call))
    facts = [
        Fact(name, value, f"was {_shown(stored[name])} when it was stored")
        for name, value in now.items()
        if name in stored and name != "started_at" and stored[name] != value
    ]
    if elsewhere is not None:
        facts.insert(0, Fact("counted by", elsewhere, "that call has the tokens and the cost of this reply"))
    because = "headers and the timeline aren't kept in the audit" if facts else "as it is read now"
    return (Step("stored", (*facts, Fact("otherwise", "the same", because))),)


# ── Printing it ─────────────────────────────────────────────────────────────────────────


def _print(explanation: Explanation, steps: tuple[Step, ...]) -> None:
    for step in steps:
        _table(step.name, ((fact.name, fact.value, fact.because) for fact in step.facts))
    call = explanation.call
    _table("call", ((each.name, getattr(call, each.name), "") for each in fields(call)))
    if explanation.problems:
        _table("problems", ((name, meaning, "") for name, meaning in explanation.problems.items()))
    for defect in explanation.defects:
        out.print(Text(defect, style="red"), soft_wrap=True)


def _table(title: str, rows: Any) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=14, no_wrap=True)
    table.add_column(overflow="fold", max_width=80)
    table.add_column(overflow="fold", style="dim")
    for name, value, because in rows:
        table.add_row(Text(f"  {name}"), Text(_shown(value)), Text(because))
    out.print(Text(title, style="bold"))
    out.print(table)
    out.print()


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case str():
            text = value
        case dict() | list() | tuple():
            text = msgspec.json.encode(value).decode()
        case _:
            text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
