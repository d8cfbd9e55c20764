"""What dashboards are looked at in tests: varied traffic through the real parts, and what each panel shows of it.

The queries are the committed ones, with variables put in as Grafana does. SQLite is the truth.
"""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from grafana.asking import ALL, Answer, Series, Time
from grafana.pictures.exchanges import Exchange, Tokens, chat, generate, messages, refused

from e2e.upstream import Reply
from e2e.world import Stage, World
from grafana import asking
from support.collector import wait_for
from support.needs import ROOT

DASHBOARDS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text("utf-8")) for file in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}
PANELS: list[tuple[str, dict[str, Any]]] = [
    (name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"] if panel["type"] != "row"
]
PICKED = {"rate_interval": "1s", "objective_first_chunk": "0.04", "objective_duration": "0.32", "budget": "2"}
ODD = "org/llama-3.1 (beta)+|x$"
"""A model whose name is full of what means something in a regular expression."""

EVERYTHING = {"provider": ALL, "model": ALL, "consumer": ALL, **PICKED}
MODEL = "gen_ai_request_model"
COST = "sum(cost)"
LOST, GIVEN_UP = 3, 1
GPT, CLAUDE, GEMINI = "gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro"


# ── The traffic ─────────────────────────────────────────────────────────────────────────


def make_traffic(world: World, stage: Stage) -> None:
    """Several providers, models and consumers; streams, errors, broken-off calls, caches, reasoning, estimates."""

    def send(made: Exchange, consumer: str = "", *, leave: bool = False, cut: bool = False) -> None:
        pieces = [piece.encode() for piece in made.pieces]
        stage.upstream.reply = Reply(
            pieces[:3] if cut else pieces,
            made.content_type,
            f"{made.status} Made up",
            [f"{name}: {value}" for name, value in made.headers.items()],
            pause=0.02 if made.stream else 0.0,
            cut=cut,
        )
        headers = stage.header | ({"X-Consumer": consumer} if consumer else {})
        with (
            pytest.raises(httpx.RemoteProtocolError) if cut else nullcontext(),
            httpx.stream("POST", f"{world.traefik.url}{made.path}", json=made.request, headers=headers) as reply,
        ):
            for _ in reply.iter_bytes():
                if leave:
                    break

    plain = chat(GPT, Tokens(400, 60, cached=128, reasoning=0))
    streamed = chat(GPT, Tokens(90, 24), stream=True)
    for consumer in ("alice", "alice", "bob"):
        send(plain, consumer)
    send(streamed, "bob")
    send(messages(CLAUDE, Tokens(2000, 40, cached=1500)), "bob")
    send(messages(CLAUDE, Tokens(1000, 20, cached=0)), "carol")
    send(generate(GEMINI, Tokens(300, 200, cached=0, reasoning=150)), "carol")
    send(chat(ODD, Tokens(50, 30), told=False, host="model"))
    send(chat(ODD, Tokens(70, 20), host="model"), "alice")
    send(refused(plain, 429, "rate_limit_exceeded"), "alice")
    send(refused(streamed, 500, "server_error"), "bob")
    send(chat(GPT, Tokens(90, 4000), stream=True), "bob", leave=True)
    send(messages(CLAUDE, Tokens(500, 400)), "carol", cut=True)
    send(Exchange(plain.path, "", plain.request, ["{not json"]), "alice")
    told = {"boot": uuid.uuid4().hex, "dropped": LOST, "dropped_by": {"queue_full": LOST}, "failed": GIVEN_UP}
    ledger = {"content-type": "application/x-ndjson", "llmtoken-source": json.dumps(told)}
    httpx.post(f"{world.collector.url}/api/report", headers=ledger, content=b"").raise_for_status()
    llama = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
    httpx.post(f"{world.traefik.url}/v1/chat/completions", json=llama, timeout=60).raise_for_status()


@dataclass
class Seen:
    """The world after its traffic, and the times that a dashboard can look at."""

    world: World
    whole: Time
    before_restart: Time
    quiet: Time
    """Before the first call, with a collector that is scraped."""

    @property
    def early(self) -> str:
        """What is true of the calls before the restart."""
        restarted = datetime.fromtimestamp(self.before_restart.end, UTC)
        return f"started_at < '{restarted:%Y-%m-%dT%H:%M:%SZ}'"

    def ask(
        self, name: str, panel: Mapping[str, Any], time: Time | None = None, **picked: str | Sequence[str]
    ) -> list[Answer]:
        """What a panel shows of the whole time, or of that one."""
        values = asking.variables(DASHBOARDS[name], EVERYTHING | picked)
        return list(asking.answers(self.world.prometheus.client, panel, values, time or self.whole))

    def number(self, name: str, title: str, time: Time | None = None, **picked: str | Sequence[str]) -> float:
        """The number of a panel that shows one."""
        (answer,) = self.ask(name, titled(name, title, "stat"), time, **picked)
        (series,) = answer.series
        return series.last

    def table(self, name: str, title: str, **picked: str | Sequence[str]) -> dict[str, dict[str, float]]:
        """The cells of a table, by heading and row."""
        panel = titled(name, title, "table")
        headings = panel["transformations"][1]["options"]["renameByName"]
        return {
            headings[f"Value #{answer.target['refId']}"]: {
                " ".join(label for _, label in sorted(series.labels.items())): series.last for series in answer.series
            }
            for answer in self.ask(name, panel, **picked)
        }

    def summed(self, name: str, title: str, unit: float | None = None, time: Time | None = None) -> dict[str, float]:
        """What a graph's points add up to, line by line; a point is a count, or how many come in `unit` seconds."""
        return {
            legend_of(answer, series): math.fsum(series.values.values()) * (answer.step / unit if unit else 1)
            for answer in self.ask(name, titled(name, title), time)
            for series in answer.series
        }

    def rows(self, columns: str, rest: str = "") -> list[tuple[Any, ...]]:
        """What SQLite says."""
        return [tuple(row) for row in self.world.audit.query(f"SELECT {columns} FROM calls {rest}")]  # noqa: S608

    def sql(self, column: str, where: str = "1") -> float:
        """One number of SQLite's."""
        return float(self.rows(column, f"WHERE {where}")[0][0] or 0)

    def by(self, label: str, column: str, where: str = "1") -> dict[str, float]:
        """A number of SQLite's for each value of a column; a missing one is called as the dashboards call it."""
        found = self.rows(f"coalesce({label}, '(none)'), {column}", f"WHERE {where} GROUP BY 1")
        return {name: float(value) for name, value in found if value is not None}


def legend_of(answer: Answer, series: Series) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: series.labels.get(match[1], ""), answer.target["legendFormat"])


def titled(name: str, title: str, kind: str = "") -> Mapping[str, Any]:
    """The panel with this title; of two with the same the one of this kind."""
    return next(
        panel
        for place, panel in PANELS
        if place == name and panel["title"] == title and kind in panel["type"] and (kind or panel["type"] != "stat")
    )


def looked() -> float:
    """A full second, when everything until then is scraped."""
    moment = math.ceil(time.time())
    wait_for(lambda: time.time() > moment + 0.5)
    return moment
