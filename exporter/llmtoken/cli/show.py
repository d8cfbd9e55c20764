"""`llmtoken audit show`: one call for people: the conversation, and each number with its source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from llmtoken.cli.console import out, print_json, printable
from llmtoken.cli.records import records
from llmtoken.config import Settings
from llmtoken.conversation import Conversation, Turn, tell
from llmtoken.count import Calibration
from llmtoken.inference import ToolCall

_STYLES = {"system": "yellow", "developer": "yellow", "user": "cyan", "assistant": "green", "tool": "magenta"}
_NUMBERS = re.compile(r"_tokens$|^(?:cost|tool_calls)$")
_TIMES = re.compile(r"^duration$|^time_|^tokens_per_second$")
_SUBSETS = re.compile(r"^(?:cache_|reasoning_|input_audio|output_audio)")


def show(request_id: str, settings: Settings, *, url: str | None, bodies: bool, as_json: bool) -> None:
    """Print one call. Raises `NotFound`, and what opening its place raises."""
    with records(settings, url) as source:
        row = source.call(request_id)
        lessons = source.lessons()
    told = tell(row, settings, Calibration(lessons), bodies=bodies)
    if as_json:
        print_json(told)
        return
    _head(told.call)
    if bodies:
        _raw(row["request_body"], row["response_body"])
    elif told.conversation is None:
        out.print(Text("The bodies weren't kept.", style="dim"))
    else:
        _talk(told.conversation)
    out.print()
    _numbers(told.call, told.sources)


# ── Printing it ─────────────────────────────────────────────────────────────────────────


def _head(call: Mapping[str, Any]) -> None:
    """Who asked what of whom, and how it went; what nobody knows is left out."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _lines(call):
        if value:
            table.add_row(name, Text(printable(value), style="red" if name == "error" else ""))
    out.print(table)
    out.print()


def _lines(call: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "call", call["request_id"]
    yield "started", call["started_at"]
    yield "request", " ".join(filter(None, (call["method"], f"{call['host'] or ''}{call['path'] or ''}")))
    server, port = call["server_address"], call["server_port"]
    yield "server", "" if server is None else f"{server}:{port}" if port else server
    stream = "stream" if call["stream"] else "one piece"
    yield "reply", f"{call['http_status'] or 'no status'}, {stream}"
    yield "broken off", f"by the {call['aborted']}" if call["aborted"] else ""
    yield "error", call["error_type"] or ""
    yield "operation", call["operation_name"] or ""
    yield "provider", call["provider_name"] or ""
    asked, answered = call["request_model"], call["response_model"]
    yield "model", (asked or "") if answered in (None, asked) else f"{asked or 'none'}, answered by {answered}"
    yield "reply's id", call["response_id"] or ""
    yield "finished", ", ".join(call["finish_reasons"])
    yield "consumer", call["consumer"] or ""
    yield "middleware", call["middleware"] or ""
    yield "labels", _pairs(call["labels"])
    yield "details", _pairs(call["details"])


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _talk(talk: Conversation) -> None:
    if talk.tools:
        names = ", ".join(tool.name for tool in talk.tools)
        out.print(Text(f"tools offered: {printable(names)}", style="dim"), soft_wrap=True)
    for turn in (*talk.asked, *talk.answered):
        _turn(turn)
    for item in talk.files:
        out.print(Text(f"not text: {printable(item)}", style="dim"), soft_wrap=True)
    for error in talk.errors:
        _block("error", "red", Text(printable(error)))
    for note in talk.notes:
        out.print(Text(note, style="yellow"), soft_wrap=True)


def _turn(turn: Turn) -> None:
    name = f"{turn.role} ({turn.name})" if turn.name else turn.role
    if turn.reasoning:
        _block(f"{name}, reasoning", "dim", Text(printable(turn.reasoning).strip("\n"), style="dim italic"))
        if not (turn.text or turn.tool_calls):
            return
    parts = []
    if turn.text:
        parts.append(Text(printable(turn.text).strip("\n")))
    parts.extend(Text(f"[image: {printable(image)}]", style="blue") for image in turn.images)
    parts.extend(map(_tool_call, turn.tool_calls))
    _block(name, _STYLES.get(turn.role, "bold"), *parts)


def _tool_call(call: ToolCall) -> Text:
    """The call as a function's, its arguments of several lines when they are long."""
    try:
        arguments = msgspec.json.format(call.arguments.encode(), indent=2 if len(call.arguments) > 80 else 0).decode()  # noqa: PLR2004
    except msgspec.DecodeError:
        arguments = call.arguments
    return Text(f"→ {printable(call.name)}({printable(arguments)})", style="bold")


def _block(name: str, style: str, *parts: Text) -> None:
    out.print(Text(printable(name), style=f"bold {style}"))
    for part in parts:
        out.print(Padding(part, (0, 0, 0, 2)) if out.is_terminal else part, soft_wrap=not out.is_terminal)
    out.print()


def _raw(request: str | None, reply: str | None) -> None:
    """The bodies as they are stored."""
    for name, body in (("request", request), ("reply", reply)):
        out.print(Text(name, style="bold"))
        out.print(Text("(not kept)" if body is None else printable(body)), soft_wrap=True)
        out.print()


def _numbers(call: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Tokens, money and times; of the parts only those that somebody named."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for name, value in call.items():
        if value is None and (_SUBSETS.match(name) or _TIMES.match(name) or name == "tool_calls"):
            continue
        if _NUMBERS.search(name):
            table.add_row(name, _number(value), Text(printable(sources.get(name, ""))))
        elif _TIMES.match(name):
            unit = "per second" if name == "tokens_per_second" else "seconds"
            table.add_row(name, f"{value:,.3f}", unit)
    table.add_row("usage_source", call["usage_source"], _MEANS.get(call["usage_source"], ""))
    out.print(table)


_MEANS = {
    "reported": "the provider counted",
    "estimated": "we counted: the provider said no usage",
    "partial": "the reply was cut; what had arrived was counted",
    "unknown": "neither the provider nor we counted",
}


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
