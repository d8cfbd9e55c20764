"""Two hundred secrets on every way through real Traefik, plugin and collector: none is kept anywhere."""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import httpx
import pytest

from e2e.carriers import EVERYWHERE, IN_A_LINE, Exchange
from e2e.collector import CollectorProcess
from llmtoken.decode import decode
from llmtoken.redact.fragments import slots
from llmtoken.redact.views import unescaped
from llmtoken.report import Report
from support.collector import sum_samples, wait_for
from support.planted import cores, shapes
from support.traefik import Traefik
from support.upstream import upstream
from support.wire import Head, Wire

COUNT = 200
LOST_IN_DOWNTIME = 20
NUMBERS = "input_tokens, output_tokens, total_tokens, usage_source, cost, duration > 0, tool_calls, http_status, stream"


@dataclass(frozen=True)
class Planted:
    """One secret on its way."""

    carrier: str
    rule: str
    cores: list[str]
    exchange: Exchange


def planted() -> list[Planted]:
    """Every rule with several carriers, every carrier with several rules."""
    secrets = [(rule, secret) for seed in range(2, 7) for rule, some in shapes(seed).items() for secret in some]
    carriers = cycle((EVERYWHERE | IN_A_LINE).items())
    found = []
    for rule, secret in islice(secrets, COUNT):
        name, carrier = next(carriers)
        while "\n" in secret and name in IN_A_LINE:
            name, carrier = next(carriers)
        found.append(Planted(name, rule, cores(rule, secret), carrier(secret)))
    return found


@dataclass(frozen=True)
class Run:
    """What a run left behind: every byte by where it is, and the numbers of the calls."""

    left: dict[str, bytes]
    numbers: list[tuple[object, ...]]
    redactions: float
    failures: float


def run(folder: Path, plan: list[Planted], redact: str) -> Run:
    """Send everything through, the first part while the collector is away."""
    folder.mkdir()
    (spool := folder / "spool").mkdir()

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        exchange = plan[int(head.headers["x-plan"])].exchange
        headers = {
            "Content-Type": exchange.reply_type,
            "Content-Length": str(len(exchange.reply)),
            **exchange.reply_headers,
        }
        lines = [f"HTTP/1.1 {exchange.status} OK", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        wire.send("\r\n".join(lines).encode() + exchange.reply)

    settings = {"LLMTOKEN_REDACT": redact, "LLMTOKEN_SEARCH": "true", "LLMTOKEN_LOG_LEVEL": "debug"}
    collector = CollectorProcess(folder / "collector", settings)
    middleware = {
        "apiurl": f"{collector.url}/api/report",
        "flushInterval": "10ms",
        "spoolDir": str(spool),
        "consumerHeader": "X-Consumer",
    }
    try:
        with upstream(script) as url, Traefik(folder / "traefik", upstream=url, middleware=middleware) as traefik:
            with httpx.Client(base_url=traefik.url, timeout=30) as client:
                for number, each in enumerate(plan):
                    if number == LOST_IN_DOWNTIME:
                        wait_for(lambda: any(spool.iterdir()))
                        collector.start()
                    sent = each.exchange
                    client.cookies.clear()
                    headers = {**sent.headers, "Content-Type": sent.content_type, "X-Plan": str(number)}
                    client.post(sent.path, content=sent.body, headers={k: v.encode() for k, v in headers.items()})
            wait_for(lambda: len(rows(collector.database)) == len(plan), 60)
            traefik.terminate()
            log = traefik.log.encode()
        exposition = httpx.get(f"{collector.url}/metrics").text
        left = {"/metrics": exposition.encode(), "traefik.log": log}
        left |= {str(path): path.read_bytes() for path in spool.rglob("*") if path.is_file()}
        left |= {path.name: path.read_bytes() for path in collector.folder.rglob("*") if path.is_file()}
        left |= {f"call {number}": text for number, text in enumerate(told(collector.database))}
        return Run(
            left,
            rows(collector.database),
            sum_samples(exposition, "llmtoken_redactions_total") if redact else 0,
            sum_samples(exposition, "llmtoken_redaction_failures_total"),
        )
    finally:
        collector.kill()


def rows(database: Path) -> list[tuple[object, ...]]:
    """The numbers of every call, in the order of the requests."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(f"SELECT {NUMBERS} FROM calls ORDER BY started_at").fetchall()  # noqa: S608


def told(database: Path) -> Iterator[bytes]:
    """What each call tells to somebody who takes trouble: pieces put together, base64 undone, escapes undone."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT path, request_body, response_body FROM calls JOIN bodies ON call_id = calls.id"
        )
        for path, *bodies in found.fetchall():
            parts = [path or ""]
            for body in bodies:
                encoded = bool(re.fullmatch(r"[A-Za-z0-9+/]{20,}=*", body or ""))
                report = Report(
                    request_body="",
                    response_body=body or "",
                    response_body_encoding="base64" if encoded else "text",
                    elapsed_time=1,
                )
                decoded = decode(report, max_body_bytes=10**7).response
                values = [event.data for event in decoded.events] or [decoded.json]
                parts += [body or "", repr(values), *map("".join, slots(values))]
                if encoded:
                    parts.append(base64.b64decode(body).decode("utf-8", "replace"))
            inner = [
                base64.b64decode(each).decode("utf-8", "replace")
                for each in re.findall(r"base64,([\w+/=]+)", "".join(parts))
            ]
            yield unescaped("\n".join([*parts, *inner]).encode())


@pytest.fixture(scope="module")
def plan() -> list[Planted]:
    return planted()


@pytest.fixture(scope="module")
def redacted(tmp_path_factory: pytest.TempPathFactory, plan: list[Planted]) -> Run:
    return run(tmp_path_factory.mktemp("secrets") / "redacted", plan, "secrets,pii")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, plan: list[Planted]) -> Run:
    return run(tmp_path_factory.mktemp("secrets") / "bare", plan, "")


def seen(run_: Run, plan: list[Planted]) -> dict[str, list[str]]:
    """The secrets that are found, by rule and carrier, and where."""
    found: dict[str, list[str]] = {}
    for number, each in enumerate(plan):
        for core in each.cores:
            if places := [place for place, data in run_.left.items() if core.encode() in data]:
                found[f"{number}: {each.rule} in {each.carrier}"] = places
    return found


def test_none_of_two_hundred_secrets_is_in_the_database_the_logs_the_metrics_or_the_spool(
    redacted: Run, plan: list[Planted]
) -> None:
    assert len(plan) == COUNT
    assert seen(redacted, plan) == {}


def test_without_redaction_nearly_all_of_them_would_be_there(bare: Run, plan: list[Planted]) -> None:
    """Or the test above could not fail. What the plugin never sends isn't there either way."""
    unsent = {"authorization", "another header"}
    there = {name.partition(": ")[0] for name in seen(bare, plan)}
    missing = [f"{n}: {each.rule} in {each.carrier}" for n, each in enumerate(plan) if str(n) not in there]
    assert [
        name
        for name in missing
        if name.rpartition(" in ")[2] not in unsent | {"header of the reply", "query", "stream, cut"}
    ] == []
    assert len(there) > 0.8 * COUNT


def test_the_numbers_are_the_same_as_without_redaction(redacted: Run, bare: Run) -> None:
    assert redacted.numbers == bare.numbers
    assert sum(row[2] or 0 for row in redacted.numbers) > 1000  # type: ignore[misc]


def test_findings_are_counted_and_nothing_had_to_be_given_up(redacted: Run) -> None:
    assert redacted.redactions >= 0.8 * COUNT
    assert redacted.failures == 0
