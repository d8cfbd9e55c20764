"""`llmtoken demo`: the whole stack for half a minute, a few requests, every number checked.

What the audit and the metrics say is compared with the demo model server's own books, so
a demo that ends well is a proof that this machine counts right.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from llmtoken.config import PREFIX
from llmtoken.errors import StackError
from llmtoken.stack import crew, plan
from llmtoken.stack.plan import Options

PATIENCE = 20.0
"""Seconds from the last reply until the last call is in the audit and on the metrics."""
_WHY = "the logs of Traefik and the demo model server say why"
COUNTERS = "gen_ai_client_inference_usage_"

_COLUMNS = "started_at, path, request_model, stream, http_status, input_tokens, output_tokens, usage_source, error_type"


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the demo and the status that its reply must have."""

    path: str
    body: dict[str, Any]
    status: int = 200


def _chat(**more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "How many tokens will this cost me?"}]
    return {"model": "demo-chat", "messages": messages, **more}


REQUESTS = (
    Request("/v1/chat/completions", _chat()),
    Request("/v1/chat/completions", _chat(stream=True)),
    Request("/v1/chat/completions", _chat(stream=True, stream_options={"include_usage": True})),
    Request("/v1/responses", {"model": "demo-chat", "input": "And what did that cost?", "stream": True}),
    Request("/v1/embeddings", {"model": "demo-embedding", "input": ["one text", "and another one"]}),
    Request("/v1/messages", _chat(stream=True, max_tokens=200)),
    Request("/v1/chat/completions", {**_chat(), "model": "demo-absent"}, status=404),
)


def demo(out: Console, progress: Console) -> None:
    """Run the demo in a folder of its own. Raises `StackError` when a number isn't right; the folder is kept then."""
    began = time.monotonic()
    # The demo must touch nothing of a real installation: neither its database nor its tokens.
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="llmtoken-demo-"))
    try:
        asyncio.run(_demo(folder, out, progress))
    except StackError:
        progress.print(f"The logs and the database are kept in {folder}", soft_wrap=True)
        raise
    except crew.Interrupted:
        shutil.rmtree(folder)
        raise KeyboardInterrupt from None
    shutil.rmtree(folder)
    out.print(f"From start to stop: {time.monotonic() - began:.1f} s")


async def _demo(folder: Path, out: Console, progress: Console) -> None:
    planned = plan.make(Options(port=0, traefik_port=0, prometheus_port=0, data=folder))
    async with crew.running(planned.parts, progress) as team, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        with progress.status(f"Sending {len(REQUESTS)} requests through Traefik …"):
            await team.during(_send(client, planned.proxy))
        books = (await client.get(f"{planned.upstream}/demo/tally")).json()
        with progress.status("Waiting for the audit and the metrics …"):
            rows = await team.during(_committed(planned.database))
            exposition = await team.during(_exposed(client, planned.collector))
    _show(rows, exposition, out)
    problems = [*_wrong_rows(rows, books["entries"]), *_wrong_sums(exposition, books)]
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise StackError(
            f"Not every number is what the model server says it used:\n{listed}",
            hint="compare the rows and the counters above with what each request was",
        )
    out.print(
        f"Every number above is what the demo model server says it used: {books['requests']} requests, "
        f"{books['input_tokens']} tokens in, {books['output_tokens']} out.",
        style="green",
    )


async def _send(client: httpx.AsyncClient, proxy: str) -> None:
    """Send the requests one after the other, so that rows and books are in the same order."""
    for request in REQUESTS:
        try:
            reply = await client.post(proxy + request.path, json=request.body)
        except httpx.HTTPError as error:
            raise StackError(f"{request.path} got no whole answer through Traefik: {error}", hint=_WHY) from error
        if reply.status_code != request.status:
            raise StackError(
                f"{request.path} answered {reply.status_code} instead of {request.status}: {reply.text[:500]}",
                hint=_WHY,
            )


async def _committed(database: str) -> list[dict[str, Any]]:
    """The rows of the audit once all calls are there, in the order of their requests."""
    query = f"select {_COLUMNS} from calls order by started_at"  # noqa: S608 - the columns are ours
    async with _patience(lambda: f"{len(rows)} of {len(REQUESTS)} calls are in the audit"):
        while True:
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                rows = [dict(row) for row in connection.execute(query)]
            if len(rows) >= len(REQUESTS):
                return rows
            await asyncio.sleep(crew.POLL)


async def _exposed(client: httpx.AsyncClient, collector: str) -> str:
    """The exposition once all calls are counted."""
    async with _patience(lambda: f"{counted:.0f} of {len(REQUESTS)} calls are on /metrics"):
        while True:
            exposition = (await client.get(f"{collector}/metrics")).text
            counted = _sum(exposition, "llmtoken_requests_total")
            if counted >= len(REQUESTS):
                return exposition
            await asyncio.sleep(crew.POLL)


@asynccontextmanager
async def _patience(state: Callable[[], str]) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError as error:
        raise StackError(
            f"After {PATIENCE:.0f} s {state()}", hint="the collector's and Traefik's logs say why"
        ) from error


def _wrong_rows(rows: list[dict[str, Any]], entries: list[dict[str, Any]]) -> Iterator[str]:
    """Where the audit differs from the requests and the model server's books, call by call."""
    books = iter(entries)
    for number, (request, row) in enumerate(zip(REQUESTS, rows, strict=True), start=1):
        expected = {"path": request.path, "request_model": request.body["model"], "http_status": request.status}
        if request.status == HTTPStatus.OK:
            entry = next(books)
            expected |= {"stream": int(entry["stream"]), "input_tokens": entry["input_tokens"]}
            # An embedding has no output; the books say 0 where the audit says that there is none.
            expected["output_tokens"] = entry["output_tokens"] or None
            expected["usage_source"] = "reported" if entry["usage_told"] else "estimated"
        else:
            expected |= {"input_tokens": None, "output_tokens": None}
        for column, value in expected.items():
            if row[column] != value:
                yield f"request {number} ({request.path}): {column} is {row[column]!r} in the audit, not {value!r}"


def _wrong_sums(exposition: str, books: dict[str, Any]) -> Iterator[str]:
    """Where the metrics differ from the model server's sums."""
    for name, expected in (
        ("llmtoken_requests_total", books["requests"]),
        (f"{COUNTERS}input_tokens_total", books["input_tokens"]),
        (f"{COUNTERS}output_tokens_total", books["output_tokens"]),
    ):
        if (found := _sum(exposition, name)) != expected:
            yield f"{name} is {found:.0f} on /metrics, not {expected}"


def _sum(exposition: str, name: str) -> float:
    families = text_string_to_metric_families(exposition)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def _show(rows: list[dict[str, Any]], exposition: str, out: Console) -> None:
    table = Table("time", "path", "model", "stream", "status", "input", "output", "source", "error", title="Audit")
    for row in rows:
        table.add_row(
            row["started_at"][11:23],
            row["path"],
            row["request_model"],
            "yes" if row["stream"] else "",
            str(row["http_status"]),
            *("" if row[column] is None else str(row[column]) for column in ("input_tokens", "output_tokens")),
            row["usage_source"],
            row["error_type"],
        )
    out.print(table)
    out.print("\nThe token counters on /metrics\n", style="bold")
    for line in exposition.splitlines():
        if line.startswith(COUNTERS):
            out.print(line, soft_wrap=True, markup=False)
    out.print()
