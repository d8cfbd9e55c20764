"""The shipped rules on real parts: what breaks here is told to a webhook, by name, and called off when it is mended.

Calls go through Traefik's entry point `llm` to llama.cpp; Prometheus scrapes Traefik and the collector, and tells
Alertmanager. Rules and routes are the shipped ones, with all times sixty times shorter: minutes become seconds.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.collector import CollectorProcess
from support import alertmanager, model_server, prometheus
from support.alertmanager import Told
from support.model_server import ModelServer
from support.needs import ROOT
from support.ports import free_port
from support.prometheus import Prometheus, hasty, job
from support.traefik import Traefik

PACE = 60
DISK = "LlmtokenDiskNearlyFull"
"""Left out, since others fill the disk of this machine."""
FIRING = f'ALERTS{{alertstate="firing",alertname!="{DISK}"}}'
NO_REPORTS = 'ALERTS{alertname="LlmtokenNoReports",alertstate="firing"}'
RUNBOOKS = "https://github.com/lemonit-eric-mao/llmtoken/blob/main/docs/operations.md"


@dataclass(frozen=True)
class Watched:
    """The parts, and what is told about them."""

    llm: str
    llama: ModelServer
    traefik: Traefik
    collector: CollectorProcess
    prometheus: Prometheus
    told: Told

    @property
    def instance(self) -> str:
        """What Prometheus calls the collector."""
        return self.collector.url.removeprefix("http://")

    def chat(self, model: str = "tiny") -> int:
        """One call through Traefik; its status."""
        body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "Say hello."}]}
        return httpx.post(f"{self.llm}/v1/chat/completions", json=body, timeout=30).status_code

    def until(self, condition: Callable[[], Any], call: Callable[[], object] | None = None) -> Any:
        """Go on calling, a few times a second, until something has happened; what it was."""
        began, called = time.monotonic(), float("-inf")
        while not (happened := condition()):
            assert time.monotonic() - began < 120, f"waited in vain; now fires: {self.firing()}"
            if time.monotonic() - called > 0.2:
                (call or self.chat)()
                called = time.monotonic()
            time.sleep(0.05)
        return happened

    def firing(self) -> set[str]:
        """The alerts that Prometheus has firing now."""
        return {dict(labels)["alertname"] for labels in self.prometheus.query(FIRING)}

    @contextmanager
    def quiet_before_and_after(self) -> Iterator[None]:
        """Nothing fires before a test breaks something, nor after it mended it; what was told is forgotten."""
        self.until(lambda: not self.firing())
        self.told.alerts.clear()
        yield
        self.until(lambda: not self.firing())

    def told_when(self, name: str, call: Callable[[], object] | None = None) -> dict[str, Any]:
        """What is told first of an alert, while these calls go on."""
        news: list[dict[str, Any]] = self.until(lambda: self.told.news(name), call)
        return news[0]


def rules(folder: Path) -> list[str]:
    """The shipped rules, sixty times faster, in a folder of their own."""
    folder.mkdir()
    for file in (ROOT / "prometheus" / "rules").glob("*.yml"):
        (folder / file.name).write_text(hasty(file.read_text("utf-8"), PACE), "utf-8")
    return [f"{folder}/*.yml"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    collector, port = CollectorProcess(folder / "collector"), free_port()
    collector.start()
    entry_point = {"rule": "PathPrefix(`/`)", "entryPoints": ["llm"], "middlewares": ["tap"], "service": "upstream"}
    try:
        with (
            model_server.running(model) as llama,
            Traefik(
                folder / "traefik",
                upstream=llama.url,
                middleware={"apiurl": f"{collector.url}/api/report", "flushInterval": "20ms", "queueSize": 2},
                static={
                    "entryPoints": {"llm": {"address": f"127.0.0.1:{port}"}},
                    "metrics": {"prometheus": {"entryPoint": "traefik"}},
                },
                dynamic={"http": {"routers": {"llm": entry_point}}},
            ) as traefik,
            alertmanager.running(folder / "alertmanager", PACE) as told,
            prometheus.running(
                folder / "prometheus",
                **{
                    "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
                    "rule_files": rules(folder / "rules"),
                    "alerting": told.alerting,
                    "scrape_configs": [job("llmtoken", collector.url), job("traefik", traefik.api_url)],
                },
            ) as scraper,
        ):
            yield Watched(f"http://127.0.0.1:{port}", llama, traefik, collector, scraper, told)
    finally:
        collector.kill()


def test_nothing_fires_while_calls_go_well(watched: Watched) -> None:
    # Prometheus takes five seconds to look for its targets: here as long as five minutes.
    watched.until(lambda: watched.prometheus.total("up") == 2 and not watched.firing())
    watched.told.alerts.clear()
    began = time.time()
    watched.until(lambda: time.time() - began > 25)
    assert watched.prometheus.total("llmtoken:requests:rate5m") > 0, "the rules are at work"
    assert watched.prometheus.query(f"count_over_time({FIRING}[25s])") == {}
    told = {alert["labels"]["alertname"] for alert in watched.told.alerts if alert["status"] == "firing"}
    assert told <= {DISK}


def test_a_killed_collector_is_told_of_and_then_what_the_plugin_had_to_drop(watched: Watched) -> None:
    with watched.quiet_before_and_after():
        watched.collector.kill()
        down = watched.told_when("LlmtokenCollectorDown")
        # That no reports arrive then is no news, though it is true; Alertmanager has had the time to tell it.
        watched.until(lambda: watched.prometheus.total(f"count_over_time({NO_REPORTS}[10s])") > 20)
        assert not watched.told.news("LlmtokenNoReports")
        watched.collector.start()
        watched.told.wait("LlmtokenCollectorDown", "resolved")
        lost = watched.told_when("LlmtokenReportsLost")
    assert down["labels"] == {
        "alertname": "LlmtokenCollectorDown",
        "severity": "critical",
        "job": "llmtoken",
        "instance": watched.instance,
    }
    assert watched.instance in down["annotations"]["description"]
    assert down["annotations"]["runbook_url"] == f"{RUNBOOKS}#llmtokencollectordown"
    assert lost["labels"]["instance"] == watched.instance
    assert "Dropped: queue_full" in lost["annotations"]["description"]
    watched.told.wait("LlmtokenReportsLost", "resolved")


def test_reports_that_go_astray_are_told_of_by_entry_point(watched: Watched) -> None:
    middleware = {"apiurl": f"{watched.collector.url}/api/report", "flushInterval": "20ms", "queueSize": 2}
    with watched.quiet_before_and_after():
        watched.traefik.configure(middleware=middleware | {"apiurl": "http://127.0.0.1:9/api/report"})
        told = watched.told_when("LlmtokenNoReports")
        watched.traefik.configure(middleware=middleware)
    assert told["labels"] == {"alertname": "LlmtokenNoReports", "severity": "critical", "entrypoint": "llm"}
    assert "on the entry point llm" in told["annotations"]["description"]
    watched.told.wait("LlmtokenNoReports", "resolved")


def test_a_model_server_that_refuses_is_told_of_by_model_and_error(watched: Watched) -> None:
    with watched.quiet_before_and_after():
        told = watched.told_when(
            "LlmtokenErrorRatioHigh",
            lambda: httpx.post(f"{watched.llm}/v1/chat/completions", json={"model": "tiny", "messages": "hello"}),
        )
    assert told["labels"]["gen_ai_request_model"] == "tiny"
    assert told["labels"]["severity"] == "warning"
    assert "of the calls to tiny" in told["annotations"]["description"]
    assert "most often with" in told["annotations"]["description"]
    watched.told.wait("LlmtokenErrorRatioHigh", "resolved")


def test_an_api_that_nobody_knows_is_told_of_by_problem(watched: Watched) -> None:
    with watched.quiet_before_and_after():
        told = watched.told_when(
            "LlmtokenUnknownFormat", lambda: httpx.post(f"{watched.llm}/v9/conjure", content=b"<spell/>")
        )
    assert told["labels"]["llmtoken_parse_problem"] == "unknown_api"
    assert told["labels"]["instance"] == watched.instance
    assert "met unknown_api about" in told["annotations"]["description"]
    watched.told.wait("LlmtokenUnknownFormat", "resolved")


def test_counters_that_were_changed_by_hand_are_told_of(watched: Watched) -> None:
    def add(calls: int) -> None:
        with closing(sqlite3.connect(watched.collector.database, timeout=30)) as connection, connection:
            connection.execute(
                "UPDATE totals SET calls = calls + ? WHERE series_id = (SELECT min(id) FROM series)", [calls]
            )

    with watched.quiet_before_and_after():
        add(1)
        told = watched.told.wait("LlmtokenUnbalanced")
        add(-1)
    assert told["labels"]["instance"] == watched.instance
    assert told["annotations"]["description"].startswith("1 series of the counters")
    watched.told.wait("LlmtokenUnbalanced", "resolved")
