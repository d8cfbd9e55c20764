"""Every panel of every dashboard after varied traffic through the real parts: none is empty, the numbers are right."""

from __future__ import annotations

import bisect
import calendar
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from grafana.asking import Time
from grafana.promql import STEP, grown, grown_after

from e2e import upstream
from e2e.dashboards import (
    CLAUDE,
    COST,
    DASHBOARDS,
    EVERYTHING,
    GIVEN_UP,
    GPT,
    LOST,
    MODEL,
    ODD,
    PANELS,
    PICKED,
    Seen,
    looked,
    make_traffic,
    titled,
)
from e2e.world import Stage, assembled
from grafana import asking
from llmtoken.metrics import instruments
from llmtoken.metrics.instruments import Instrument
from support.collector import wait_for
from support.model_server import ModelServer

every_panel = pytest.mark.parametrize(
    ("name", "panel"), [pytest.param(name, panel, id=f"{name}: {panel['title']}") for name, panel in PANELS]
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, llama: ModelServer) -> Iterator[Seen]:
    """A world of its own, with a restart of the collector in the middle of its traffic."""
    begun = time.time()
    with (
        assembled(tmp_path_factory.mktemp("world"), llama, flushInterval="20ms", consumerHeader="X-Consumer") as world,
        upstream.running() as server,
        world.route(server.url) as header,
    ):
        wait_for(lambda: world.prometheus.query("max_over_time(up[1m] offset 2s) == 1"))
        quiet = time.time() - 0.5
        make_traffic(world, Stage(server, header))
        world.settled()
        middle = looked()
        world.collector.terminate()
        world.collector.start()
        make_traffic(world, Stage(server, header))
        world.settled()
        yield Seen(world, *(Time(begun, end, 0.2) for end in (looked(), middle, quiet)))


# ── Nothing is empty ────────────────────────────────────────────────────────────────────


@every_panel
def test_every_query_of_every_panel_has_an_answer(seen: Seen, name: str, panel: dict[str, Any]) -> None:
    for answer in seen.ask(name, panel):
        assert answer.series, answer.expression
        assert any(series.values for series in answer.series), answer.expression


@every_panel
def test_a_chosen_model_leaves_only_its_own_series(seen: Seen, name: str, panel: dict[str, Any]) -> None:
    for answer in seen.ask(name, panel, provider="anthropic", model=[CLAUDE]):
        for series in answer.series:
            assert series.labels.get(MODEL, CLAUDE) == CLAUDE
            assert series.labels.get("gen_ai_provider_name", "anthropic") == "anthropic"


def test_without_calls_there_are_zeros_where_zero_is_true_and_nothing_where_nothing_is_known(seen: Seen) -> None:
    shown = {
        (name, panel["title"]): [series.last for series in answer.series]
        for name, panel in PANELS
        if panel["type"] == "stat"
        for answer in seen.ask(name, panel, seen.quiet)
    }
    zeros = {title for title, values in shown.items() if values == [0]}
    assert zeros == {
        ("overview", "Calls"),
        ("overview", "Input tokens"),
        ("overview", "Output tokens"),
        ("overview", "Cost"),
        ("overview", "Not counted"),
        ("consumers", "Spent this month"),
        ("consumers", "Of the monthly budget"),
        ("consumers", "At this pace by the month's end"),
        ("consumers", "Spent in the chosen time"),
        ("consumers", "Consumers"),
        ("health", "Not counted"),
        ("health", "Parse failures"),
        ("health", "Counters off"),
        ("health", "Queue"),
    }
    assert {title for title, values in shown.items() if values and values != [0]} == {
        ("health", "Collectors"),
        ("health", "Database"),
    }


def test_without_a_collector_nothing_is_said_to_be_zero(seen: Seen) -> None:
    before = Time(seen.whole.start - 7200, seen.whole.start - 3600)
    for name, panel in PANELS:
        if "timeFrom" not in panel:  # that looks at the whole day
            for answer in seen.ask(name, panel, before):
                assert not answer.series or answer.target["legendFormat"] == "objective", panel["title"]


# ── The variables ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_variables_offer_what_was_called_and_who_called(seen: Seen, name: str) -> None:
    values = asking.variables(DASHBOARDS[name], EVERYTHING)
    offered = {
        variable["name"]: set(asking.options(seen.world.prometheus.client, variable, values))
        for variable in DASHBOARDS[name]["templating"]["list"]
        if variable["type"] == "query"
    }
    assert offered == {
        "provider": seen.by("provider_name", "1", "provider_name IS NOT NULL").keys(),
        "model": seen.by("request_model", "1", "request_model IS NOT NULL").keys(),
        "consumer": seen.by("consumer", "1", "consumer IS NOT NULL AND input_tokens IS NOT NULL").keys(),
    }


@pytest.mark.parametrize(
    ("picked", "where"),
    [
        ({"model": [GPT]}, f"request_model = '{GPT}'"),
        ({"model": [ODD]}, f"request_model = '{ODD}'"),
        ({"model": [ODD, CLAUDE]}, f"request_model IN ('{ODD}', '{CLAUDE}')"),
        ({"provider": ["openai", "gcp.gemini"]}, "provider_name IN ('openai', 'gcp.gemini')"),
    ],
    ids=["one", "odd", "two", "providers"],
)
def test_what_is_picked_is_what_is_shown(seen: Seen, picked: dict[str, list[str]], where: str) -> None:
    assert seen.number("overview", "Calls", **picked) == seen.sql("count(*)", where) > 0
    assert seen.number("overview", "Output tokens", **picked) == seen.sql("sum(output_tokens)", where) > 0


def test_picked_consumers_are_those_whose_tokens_are_shown(seen: Seen) -> None:
    where = "consumer IN ('alice', 'carol')"
    assert seen.number("overview", "Input tokens", consumer=["alice", "carol"]) == seen.sql("sum(input_tokens)", where)


# ── The sums are those of SQLite, to the last call, over a restart ──────────────────────


def test_the_numbers_are_the_sums_of_the_audit(seen: Seen) -> None:
    assert seen.number("overview", "Calls") == seen.sql("count(*)") > 30
    assert seen.number("overview", "Input tokens") == seen.sql("sum(input_tokens)")
    assert seen.number("overview", "Output tokens") == seen.sql("sum(output_tokens)")
    assert seen.number("overview", "Cost") == pytest.approx(seen.sql(COST), rel=1e-12)
    assert seen.number("overview", "Failed calls") == pytest.approx(seen.sql("avg(error_type IS NOT NULL)"))
    assert seen.number("overview", "Not counted", seen.before_restart) == LOST + GIVEN_UP


def test_increase_would_have_lost_calls(seen: Seen) -> None:
    """The control: it is not for show that the queries are longer than `increase()`."""
    span = round(seen.whole.end - seen.whole.start)
    increased = seen.world.prometheus.query(f"sum(increase(llmtoken_requests_total[{span}s]))", at=seen.whole.end)
    assert next(iter(increased.values())) < 0.8 * seen.sql("count(*)")


def test_a_table_has_the_sums_of_each_model(seen: Seen) -> None:
    for name, title in (("overview", "Top models"), ("consumers", "Models")):
        table = seen.table(name, title)
        assert table["Calls"] == seen.by("request_model", "count(*)")
        assert table["Input tokens"] == seen.by("request_model", "sum(input_tokens)")
        assert table["Output tokens"] == seen.by("request_model", "sum(output_tokens)")
        assert table["Cost"] == pytest.approx(seen.by("request_model", COST))
    assert table["Unpriced"] == pytest.approx(
        seen.by("request_model", "avg(cost IS NULL)", "usage_source != 'unknown'")
    )
    failed = seen.table("overview", "Top models")["Failed"]
    assert failed == pytest.approx(seen.by("request_model", "avg(error_type IS NOT NULL)"))


def test_a_table_has_the_sums_of_each_consumer(seen: Seen) -> None:
    table = seen.table("consumers", "Consumers")
    assert table["Input tokens"] == seen.by("consumer", "sum(input_tokens)")
    assert table["Output tokens"] == seen.by("consumer", "sum(output_tokens)")
    assert table["Cost"] == pytest.approx(seen.by("consumer", COST))
    assert math.fsum(table["Of all"].values()) == pytest.approx(1)
    cached = "1.0 * sum(cache_read_input_tokens) / sum(input_tokens)"
    assert table["Cached"] == pytest.approx(seen.by("consumer", cached, "consumer IS NOT NULL"))
    assert table["Input tokens"].keys() >= {"alice", "bob", "carol", "(none)"}


def test_a_table_has_the_sums_of_each_consumer_and_model(seen: Seen) -> None:
    both = "coalesce(request_model, '(none)') || ' ' || coalesce(consumer, '(none)')"
    table = seen.table("consumers", "Consumers and their models")
    assert table["Input tokens"] == seen.by(both, "sum(input_tokens)")
    assert table["Cost"] == pytest.approx(seen.by(both, COST))


def test_the_points_of_a_graph_share_out_every_call(seen: Seen) -> None:
    calls = seen.summed("overview", "Calls per minute", 60)
    assert calls == pytest.approx(seen.by("request_model", "count(*)"))
    tokens = seen.summed("overview", "Tokens per second", 1)
    assert tokens == pytest.approx({"input": seen.sql("sum(input_tokens)"), "output": seen.sql("sum(output_tokens)")})
    cost = seen.summed("overview", "Cost per hour", 3600)
    assert cost == pytest.approx(seen.by("request_model", COST))
    assert seen.summed("consumers", "Cost per hour by consumer", 3600) == pytest.approx(seen.by("consumer", COST))


def test_the_first_error_of_its_kind_is_seen(seen: Seen) -> None:
    errors = seen.summed("overview", "Errors and broken-off calls")
    kind = "error_type || ' (' || coalesce(http_status, '') || ')'"
    expected = seen.by(kind, "count(*)", "error_type IS NOT NULL")
    broken_off = seen.by("aborted", "count(*)", "aborted != '' AND error_type IS NULL")
    expected |= {f"broken off by {who}": count for who, count in broken_off.items()}
    assert errors == expected | {"nothing": 0}
    assert errors["rate_limit_exceeded (429)"] == errors["broken off by client"] == 2


def test_the_days_add_up(seen: Seen) -> None:
    days = {
        title: seen.summed("consumers", title)
        for title in (
            "Cost by day and model",
            "Cost by day and consumer",
            "Tokens by day",
            "Calls without a price by day",
        )
    }
    days["Cost by day and model"].pop("objective")
    assert days["Cost by day and model"] == pytest.approx(seen.by("request_model", COST))
    assert days["Cost by day and consumer"] == pytest.approx(seen.by("consumer", COST))
    assert days["Tokens by day"] == {
        "input": seen.sql("sum(input_tokens)"),
        "output": seen.sql("sum(output_tokens)"),
    }
    unpriced = "cost IS NULL AND usage_source != 'unknown'"
    assert days["Calls without a price by day"] == seen.by("request_model", "count(*)", unpriced)


def test_a_bar_stands_at_the_beginning_of_what_it_counts(seen: Seen) -> None:
    """Of a day, that is; here two seconds are a day."""
    start, end = (int(moment) // 2 * 2 for moment in (seen.whole.start, seen.whole.end))
    asked = {"start": start, "end": end + 2, "step": 2}
    bars, points = (
        dict(seen.world.prometheus.between(f"sum({query})", **asked))
        for query in (
            grown_after("llmtoken_requests_total", "2s"),
            grown("llmtoken_requests_total").replace(STEP, "2s"),
        )
    )
    assert math.fsum(bars.values()) == seen.sql("count(*)")
    assert {moment + 2: value for moment, value in bars.items() if value} == {
        moment: value for moment, value in points.items() if value
    }


# ── The links ───────────────────────────────────────────────────────────────────────────


def followed(seen: Seen, link: str, labels: Mapping[str, str], value: str = "") -> set[str]:
    """The calls that a click leads to, with Grafana's words in the link replaced as Grafana does."""
    start, end = (datetime.fromtimestamp(moment, UTC) for moment in (seen.whole.start, seen.whole.end))
    link = link.replace("${collector}", seen.world.collector.url).replace("${__value.raw:percentencode}", quote(value))
    link = link.replace("${__from:date:iso}", f"{start:%Y-%m-%dT%H:%M:%S.000Z}")
    link = link.replace("${__to:date:iso}", f"{end:%Y-%m-%dT%H:%M:%S.000Z}")
    link = re.sub(r"\$\{__field\.labels\.(\w+):percentencode}", lambda label: quote(labels[label[1]], safe=""), link)
    answer = httpx.get(link).raise_for_status().json()
    return {call["request_id"] for call in answer["calls"]}


@pytest.mark.parametrize(
    ("name", "title", "label", "column"),
    [
        ("overview", "Calls per minute", MODEL, "request_model"),
        ("consumers", "Cost per hour by consumer", "llmtoken_consumer", "consumer"),
        ("overview", "Errors and broken-off calls", "error_type", "error_type"),
    ],
)
def test_a_series_leads_to_its_calls(seen: Seen, name: str, title: str, label: str, column: str) -> None:
    panel = titled(name, title)
    (link,) = panel["fieldConfig"]["defaults"]["links"]
    series = [each for answer in seen.ask(name, panel) for each in answer.series if label in each.labels]
    assert series
    for each in series:
        rows = seen.rows("request_id", f"WHERE coalesce({column}, '(none)') = '{each.labels[label]}'")
        assert followed(seen, link["url"], each.labels) == {request_id for (request_id,) in rows}


@pytest.mark.parametrize(
    ("title", "heading", "column"),
    [("Top models", "Model", "request_model"), ("Top consumers", "Consumer", "consumer")],
)
def test_a_name_in_a_table_leads_to_its_calls(seen: Seen, title: str, heading: str, column: str) -> None:
    overrides = titled("overview", title)["fieldConfig"]["overrides"]
    (properties,) = (each["properties"] for each in overrides if each["matcher"]["options"] == heading)
    (link,) = properties[0]["value"]
    for row in seen.table("overview", title)["Input tokens"]:
        rows = seen.rows("request_id", f"WHERE coalesce({column}, '(none)') = '{row}'")
        assert followed(seen, link["url"], {}, row) == {request_id for (request_id,) in rows} != set()


# ── Budget, shares, and the meter itself ────────────────────────────────────────────────


def test_the_budget_is_what_was_spent_of_it(seen: Seen) -> None:
    spent = seen.sql(COST)
    assert seen.number("consumers", "Spent this month") == pytest.approx(spent)
    assert seen.number("consumers", "Of the monthly budget") == pytest.approx(spent / float(PICKED["budget"]))
    now = datetime.fromtimestamp(seen.whole.end, UTC)
    past = (now - now.replace(day=1, hour=0, minute=0, second=0)).total_seconds()
    month = calendar.monthrange(now.year, now.month)[1] * 86400
    shown = seen.number("consumers", "At this pace by the month's end")
    assert shown == pytest.approx(spent * month / past, rel=1e-3)


def test_shares_are_those_of_the_audit(seen: Seen) -> None:
    known = "usage_source != 'unknown'"
    assert seen.number("consumers", "Calls without a price") == pytest.approx(seen.sql("avg(cost IS NULL)", known))
    cached, reasoning = "sum(cache_read_input_tokens)", "sum(reasoning_output_tokens)"
    assert seen.number("models", "Cached input") == pytest.approx(seen.sql(cached) / seen.sql("sum(input_tokens)"))
    assert seen.number("models", "Reasoning") == pytest.approx(seen.sql(reasoning) / seen.sql("sum(output_tokens)"))
    assert seen.number("health", "Not reported usage") == pytest.approx(seen.sql("avg(usage_source != 'reported')"))
    streamed = seen.table("models", "Models")["Streamed"]
    assert streamed == pytest.approx(seen.by("request_model", "avg(coalesce(stream, 0))"))


def test_the_sources_of_usage_are_shares_of_every_moment(seen: Seen) -> None:
    (answer,) = seen.ask("health", titled("health", "Where token counts come from"))
    assert {series.labels["llmtoken_usage_source"] for series in answer.series} == {
        "reported", "estimated", "partial", "unknown",
    }  # fmt: skip
    for moment in {moment for series in answer.series for moment in series.values}:
        assert math.fsum(series.values.get(moment, 0) for series in answer.series) == pytest.approx(1)


def test_the_meter_counts_its_reports(seen: Seen) -> None:
    assert seen.summed("health", "Reports per minute", 60)["accepted"] == pytest.approx(seen.sql("count(*)"))
    assert seen.number("health", "Collectors") == 1
    assert seen.number("health", "Counters off") == 0
    assert seen.number("health", "Queue") == 0
    assert seen.summed("health", "Parse failures", time=seen.before_restart)["response_json"] == 1
    lost = seen.summed("health", "Reports lost", time=seen.before_restart)
    assert lost == {"nothing": 0, "dropped: queue_full": LOST, "given up: unknown": GIVEN_UP}
    assert seen.number("health", "Database") >= seen.world.collector.database.stat().st_size
    assert 0 <= seen.number("health", "Last commit") < 60


# ── Histograms, which begin anew with the collector ─────────────────────────────────────


def bucket_of(values: Sequence[float], share: float, instrument: Instrument) -> tuple[float, float]:
    """The bounds between which the quantile of these values lies."""
    value = sorted(values)[math.ceil(share * len(values)) - 1]
    bounds = [0.0, *instrument.buckets, math.inf]
    upper = bisect.bisect_left(bounds, value)
    return bounds[upper - 1], bounds[upper]


@pytest.mark.parametrize(
    ("tile", "share", "column", "instrument"),
    [
        (("overview", "Duration, p95"), 0.95, "duration", instruments.DURATION),
        (("overview", "First chunk, p95"), 0.95, "time_to_first_chunk", instruments.TIME_TO_FIRST_CHUNK),
        (("models", "Output speed"), 0.5, "tokens_per_second", instruments.OUTPUT_SPEED),
        (("models", "Between chunks"), 0.5, "time_per_output_chunk", instruments.TIME_PER_OUTPUT_CHUNK),
    ],
    ids=["duration", "first chunk", "speed", "between chunks"],
)
def test_a_quantile_lies_in_its_bucket(
    seen: Seen, tile: tuple[str, str], share: float, column: str, instrument: Instrument
) -> None:
    values = [value for (value,) in seen.rows(column, f"WHERE {column} IS NOT NULL AND {seen.early}")]
    least, most = bucket_of(values, share, instrument)
    assert least <= seen.number(*tile, seen.before_restart) <= most


def test_the_share_within_the_objective_is_counted_exactly(seen: Seen) -> None:
    for title, column, bound in (
        ("Started in time", "time_to_first_chunk", PICKED["objective_first_chunk"]),
        ("Done in time", "duration", PICKED["objective_duration"]),
    ):
        expected = seen.sql(f"avg({column} <= {bound})", f"{column} IS NOT NULL AND {seen.early}")
        assert seen.number("models", title, seen.before_restart) == pytest.approx(expected)


def test_a_heatmap_has_every_call_once(seen: Seen) -> None:
    (answer,) = seen.ask("models", titled("models", "Duration"), seen.before_restart)
    (last,) = (series for series in answer.series if series.labels["le"] == "+Inf")
    assert math.fsum(last.values.values()) == seen.sql("count(*)", seen.early)


def test_a_distribution_has_every_call_once(seen: Seen) -> None:
    early = f"output_tokens IS NOT NULL AND {seen.early}"
    (answer,) = seen.ask("models", titled("models", "Output tokens of a call, at most"), seen.before_restart)
    shown = {series.labels["le"]: series.last for series in answer.series}
    assert shown["64.0"] == seen.sql("sum(output_tokens <= 64)", early)
    assert shown["+Inf"] == seen.sql("count(*)", early)


def test_a_restart_adds_nothing_to_a_histogram_and_takes_at_most_what_was_before(seen: Seen) -> None:
    """Buckets begin anew; where they are as full again at the first scrape that does not show, and these are gone."""
    (answer,) = seen.ask("models", titled("models", "Output tokens of a call, at most"))
    (last,) = (series.last for series in answer.series if series.labels["le"] == "+Inf")
    since = seen.sql("count(*)", f"output_tokens IS NOT NULL AND NOT {seen.early}")
    assert since <= last <= 1.3 * seen.sql("count(*)", "output_tokens IS NOT NULL")
