"""The landing page over HTTP: what it says, to whom, and what it says when something is wrong."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from llmtoken.errors import StorageUnavailable
from support.collector import Collector, running, wait_for
from support.landing import failed, report, send_a_day

NOW = datetime.now(UTC)


class Text(HTMLParser):
    """The words of a page, one space between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def read(collector: Collector) -> str:
    answer = collector.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return " ".join(Text(answer.text).words)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with running(tmp_path) as collector:
        yield collector


def test_it_says_what_is_running(collector: Collector) -> None:
    page = read(collector)
    assert re.search(r"Version \d+\.\d+\.\d+ Up \d+ s Instance collector Database \S+llmtoken\.db", page)


def test_before_the_first_call_it_says_what_to_do(collector: Collector) -> None:
    page = read(collector)
    assert "Requests 0 Tokens in — Tokens out — Cost — Errors 0" in page
    assert "Nothing counted yet today. Send a request through Traefik" in page
    assert "Last report none since the start" in page
    assert "All well" in page


def test_today_is_what_the_audit_adds_up_to(collector: Collector) -> None:
    send_a_day(collector)
    calls, errors, inputs, outputs = collector_sums(collector)
    assert f"Requests {calls} Tokens in {inputs / 1000:.3g}k Tokens out {outputs / 1000:.3g}k" in read(collector)
    assert f"Errors {errors}" in read(collector)


def collector_sums(collector: Collector) -> tuple[int, int, int, int]:
    with closing(sqlite3.connect(collector.database)) as connection:
        query = "SELECT count(*), count(error_type), sum(input_tokens), sum(output_tokens) FROM calls"
        sums: tuple[int, int, int, int] = connection.execute(query).fetchone()
    return sums


def test_yesterday_is_not_today(collector: Collector) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    collector.lines(
        report("api.openai.com", "gpt-4o", (10, 5), midnight - timedelta(seconds=1)),
        report("api.openai.com", "gpt-4o-mini", (20, 7), datetime.now(UTC)),
    )
    assert "Requests 1 Tokens in 20 Tokens out 7" in read(collector)


def test_models_beyond_a_dozen_are_added_up(collector: Collector) -> None:
    collector.lines(*(report("models.internal", f"m{n}", (100 * n, 1), datetime.now(UTC)) for n in range(1, 16)))
    page = read(collector)
    assert re.search(r"m15 — 1 0 1,500 1 —", page)
    assert "all others 3 0 600 3 —" in page


def test_the_last_calls_are_there_newest_first(collector: Collector) -> None:
    collector.lines(
        report("api.openai.com", "older", (10, 5), datetime.now(UTC) - timedelta(seconds=60)),
        failed("newer", datetime.now(UTC)),
    )
    page = read(collector)
    listed = page[page.index("Last calls") :]
    assert listed.index("newer 429 requests unknown — —") < listed.index("older 200 reported 10 5 1.4 s")


def test_each_call_leads_to_its_whole_record(collector: Collector) -> None:
    collector.report(report("api.openai.com", "gpt-4o", (10, 5), NOW) | {"request_id": "odd/ &?#id"})
    (link,) = re.findall(r'href="(api/calls/[^"]+)"', collector.client.get("/").text)
    assert collector.client.get(f"/{link}").json()["request_id"] == "odd/ &?#id"


def test_whatever_a_client_calls_a_model_stays_text(collector: Collector) -> None:
    evil = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"
    collector.report(report("models.internal", evil, (1, 1), datetime.now(UTC)))
    answer = collector.client.get("/")
    assert "<img" not in answer.text
    assert answer.text.count("<script") == 1
    assert answer.text.count("&lt;script&gt;") == 2, "by model, and among the calls"


def test_the_policy_allows_nothing_but_our_own_files(collector: Collector) -> None:
    answer = collector.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r"<style|style=|\son\w+=|javascript:", answer.text)
    for path in re.findall(r'(?:src|href)="(landing/[^"]+)"', answer.text):
        assert collector.client.get(f"/{path}").status_code == 200


# ── Who may see what ────────────────────────────────────────────────────────────────────


def test_where_reading_takes_a_token_the_page_tells_no_call_and_how_to_get_one(tmp_path: Path) -> None:
    with running(tmp_path, read_token="secret") as guarded:
        guarded.report(report("api.openai.com", "gpt-4o", (10, 5), datetime.now(UTC)) | {"request_id": "private"})
        page = read(guarded)
        assert "Requests 1 Tokens in 10 Tokens out 5" in page, "as on /metrics"
        assert "private" not in guarded.client.get("/").text
        assert str(tmp_path) not in page
        assert f'curl -H "Authorization: Bearer $LLMTOKEN_READ_TOKEN" {guarded.url}/api/calls?limit=10' in page
        assert "secret" not in page


def test_where_the_metrics_take_a_token_the_page_tells_no_number(tmp_path: Path) -> None:
    with running(tmp_path, metrics_token="secret") as guarded:
        guarded.report(report("api.openai.com", "gpt-4o", (10, 5), datetime.now(UTC)))
        page = read(guarded)
        assert "gpt-4o" not in page.partition("Last calls")[0]
        assert "Requests 1" not in page
        assert "Last report" not in page
        assert f'curl -H "Authorization: Bearer $LLMTOKEN_METRICS_TOKEN" {guarded.url}/metrics' in page
        assert "Database takes writes" in page


def test_links_are_what_the_setting_says(tmp_path: Path) -> None:
    with running(tmp_path, links={"Grafana <1>": "https://grafana.example/?a=1&b=2"}) as collector:
        page = collector.client.get("/").text
    assert '<a href="https://grafana.example/?a=1&amp;b=2">Grafana &lt;1&gt;</a>' in page


# ── When something is wrong ─────────────────────────────────────────────────────────────


def refuse(*_: Any, **__: Any) -> None:
    raise StorageUnavailable("The disk is gone", hint="bring it back")


def test_a_database_that_can_not_be_read_is_said_and_the_page_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as collector, monkeypatch.context() as patch:
        patch.setattr("llmtoken.audit.Audit.usage", refuse)
        page = read(collector)
    assert "The audit can't be read now, so what was used today isn't known here" in page
    assert "Last calls times in UTC The audit can't be read now" in page


def test_a_database_that_can_not_be_written_needs_attention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as collector, monkeypatch.context() as patch:
        patch.setattr("llmtoken.audit.Audit.writable", lambda _: False)
        page = read(collector)
        assert "<title>llmtoken — needs attention</title>" in collector.client.get("/").text
    assert "Needs attention" in page
    assert "Database can't be written" in page


def test_what_plugins_lost_needs_attention(collector: Collector) -> None:
    source = {"boot": "a", "sequence": 1, "dropped": 4, "failed": 2}
    collector.report(report("api.openai.com", "gpt-4o", (10, 5), NOW) | {"source": source})
    assert "Plugins lost 6 reports, by their own account" in read(collector)
    assert "Needs attention" in read(collector)


def test_what_is_missing_needs_attention(tmp_path: Path) -> None:
    times = iter([0.0, *[1.0] * 3])
    with running(tmp_path, clock=lambda: next(times, 1000.0)) as collector:
        for sequence in (1, 3):
            source = {"boot": "a", "sequence": sequence, "dropped": 0, "failed": 0}
            collector.report(report("api.openai.com", "gpt-4o", (10, 5), NOW) | {"source": source})
        wait_for(lambda: "Missing 1 reports didn't arrive" in read(collector))


def test_counters_that_differ_from_the_audit_need_attention(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        collector.report(report("api.openai.com", "gpt-4o", (10, 5), NOW))
        wait_for(lambda: "are the sums of the audit's rows" in read(collector))
    with closing(sqlite3.connect(collector.database)) as connection, connection:
        connection.execute("UPDATE totals SET calls = 7")
    with running(tmp_path) as collector:
        wait_for(lambda: "Counters 1 series differ from the audit" in read(collector))
