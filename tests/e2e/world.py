"""Everything together, and the three books that are kept about the same calls.

Traefik passes calls on to llama.cpp and its plugin reports them to the collector, which keeps
SQLite and is scraped by Prometheus. A test makes a call with a mark in its request, so that
its row can be found whatever the API was.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from e2e.collector import CollectorProcess
from e2e.upstream import Upstream
from support import prometheus
from support.collector import wait_for
from support.model_server import ModelServer
from support.prometheus import Prometheus
from support.traefik import Traefik

T = TypeVar("T")

NO_REUSE = {"serversTransport": {"maxIdleConnsPerHost": -1}}
"""llama.cpp closes a connection after a hundred requests. A request that Traefik sends at that moment is answered
with 500 by Traefik, plugin or not: one in a hundred, measured."""


@dataclass(frozen=True)
class Sums:
    """What one book says: calls, and tokens in, out and read from the cache."""

    calls: int
    input: int
    output: int
    cached: int

    def __sub__(self, earlier: Sums) -> Sums:
        return Sums(
            self.calls - earlier.calls,
            self.input - earlier.input,
            self.output - earlier.output,
            self.cached - earlier.cached,
        )


@dataclass(frozen=True)
class Stage:
    """An upstream that says what a test wants, and the header that leads there."""

    upstream: Upstream
    header: dict[str, str]


def new_mark() -> str:
    """A word that is in no other request."""
    return f"mark-{uuid.uuid4().hex}"


def eventually(read: Callable[[], T], expected: T, seconds: float = 10.0) -> T:
    """What `read` gives once it is what is expected; otherwise what it gives in the end, for the assertion to show."""
    with suppress(AssertionError):
        wait_for(lambda: read() == expected, seconds)
    return read()


class Audit:
    """The collector's database file, read with nothing but SQLite."""

    def __init__(self, collector: CollectorProcess) -> None:
        self._collector = collector

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Rows of a query on the file as it is now."""
        with closing(sqlite3.connect(f"file:{self._collector.database}?mode=ro", uri=True, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql, values).fetchall()

    def sums(self, where: str = "1") -> Sums:
        """Calls and their tokens, added up by SQLite."""
        columns = ("input_tokens", "output_tokens", "cache_read_input_tokens")
        sums = ", ".join(f"coalesce(sum({column}), 0)" for column in columns)
        return Sums(*self.query(f"SELECT count(*), {sums} FROM calls WHERE {where}")[0])  # noqa: S608 - our own words

    def marked(self, mark: str) -> list[sqlite3.Row]:
        """The calls that have this mark in their request or their path."""
        return self.query(
            "SELECT calls.*, bodies.request_body, bodies.response_body FROM calls JOIN bodies ON call_id = calls.id "
            "WHERE instr(request_body, ?1) OR instr(path, ?1)",
            mark,
        )

    def row(self, mark: str) -> sqlite3.Row:
        """The one call with this mark; waits until it is there."""
        rows = wait_for(lambda: self.marked(mark))
        assert len(rows) == 1, f"{len(rows)} calls have the mark {mark}"
        return rows[0]


@dataclass
class World:
    """The real parts, running, and their addresses."""

    model_server: ModelServer
    collector: CollectorProcess
    traefik: Traefik
    prometheus: Prometheus
    audit: Audit = field(init=False)
    _routes: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.audit = Audit(self.collector)

    # ── The books ───────────────────────────────────────────────────────────────────────

    def settled(self) -> Sums:
        """What the books say once all that went before is in them: reports come in order, so a new one is the last."""
        mark = new_mark()
        httpx.get(f"{self.traefik.url}/{mark}")
        self.audit.row(mark)
        wait_for(lambda: self.in_prometheus() == self.audit.sums())
        return self.audit.sums()

    def in_prometheus(self, **labels: str) -> Sums:
        """What Prometheus has scraped so far, asked for in PromQL."""
        chosen = "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
        usage = "gen_ai_client_inference_usage"
        return Sums(
            *(
                int(self.prometheus.total(f"{name}_total{chosen}"))
                for name in (
                    "llmtoken_requests",
                    f"{usage}_input_tokens",
                    f"{usage}_output_tokens",
                    f"{usage}_cache_read_input_tokens",
                )
            )
        )

    def in_llama(self, calls: int) -> Sums:
        """What llama.cpp counted itself; it does not count calls, so those are given."""
        truth = self.model_server.truth()
        return Sums(calls, truth.input, truth.output, truth.cached)

    def api_call(self, request_id: str, *, bodies: bool = False) -> dict[str, Any]:
        """One call as the collector's API tells it."""
        answer = httpx.get(f"{self.collector.url}/api/calls/{request_id}", params={"bodies": bodies})
        call: dict[str, Any] = answer.raise_for_status().json()
        return call

    # ── Other upstreams ─────────────────────────────────────────────────────────────────

    @contextmanager
    def route(self, upstream: str) -> Iterator[dict[str, str]]:
        """Send what carries these headers to another upstream, with the plugin and without."""
        name = f"u{uuid.uuid4().hex}"
        rule = f"Header(`X-Upstream`, `{name}`)"
        self._routes[name] = {
            "routers": {
                f"{name}-tapped": {"rule": rule, "entryPoints": ["tapped"], "middlewares": ["tap"], "service": name},
                f"{name}-plain": {"rule": rule, "entryPoints": ["plain"], "service": name},
            },
            "services": {name: {"loadBalancer": {"servers": [{"url": upstream}]}}},
        }
        self._configure()
        yield {"X-Upstream": name}
        del self._routes[name]  # goes with the next change; nobody knows the name any more

    def _configure(self) -> None:
        parts = {
            kind: {name: part for route in self._routes.values() for name, part in route[kind].items()}
            for kind in ("routers", "services")
        }
        self.traefik.configure(dynamic={"http": parts})


@contextmanager
def assembled(folder: Path, llama: ModelServer, **middleware: Any) -> Iterator[World]:
    """SDK → Traefik with the plugin → llama.cpp; collector, SQLite, Prometheus."""
    collector = CollectorProcess(folder / "collector")
    collector.start()
    try:
        middleware["apiurl"] = f"{collector.url}/api/report"
        with (
            prometheus.running(folder / "prometheus", collector.url) as scraper,
            Traefik(folder / "traefik", upstream=llama.url, middleware=middleware, static=NO_REUSE) as traefik,
        ):
            yield World(llama, collector, traefik, scraper)
    finally:
        collector.kill()
