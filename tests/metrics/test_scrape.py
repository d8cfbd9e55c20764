"""Scrapes by a real Prometheus: whatever names clients choose, everything arrives, and every example can be asked."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llmtoken.metrics.instruments import INSTRUMENTS
from support import prometheus
from support.collector import Collector, running, wait_for
from support.prometheus import Prometheus

HOSTILE = ['"', "\\", "\n", "a\\nb", "{}", "\0", "\x7f", "\u2028", "\ud800", "\N{PILE OF POO}", "é", " ", "m" * 10_000]


def report(number: int, model: str, consumer: str) -> dict[str, Any]:
    return {
        "request_id": f"r{number}",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "consumer": consumer,
        "request_body": "{}",
        "response_body": f'{{"model": {json.dumps(model)}, "usage": {{"prompt_tokens": 7}}}}',
        "elapsed_time": 0.5,
    }


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that was told more names than it has places for, some of them made to do harm."""
    chance = random.Random(1)  # noqa: S311
    names = [name + str(number) for number in range(8) for name in HOSTILE]
    consumers = [name for name in names if len(name) < 100 and "\ud800" not in name]  # a report has no others
    with running(tmp_path_factory.mktemp("collector"), max_models=20, max_consumers=20) as collector:
        lines = [report(number, model, chance.choice(consumers)) for number, model in enumerate(names)]
        assert collector.lines(*lines).json()["accepted"] == len(names)
        yield collector


@pytest.fixture(scope="module")
def scraper(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus.running(tmp_path_factory.mktemp("prometheus"), collector.url) as scraper:
        wait_for(lambda: scraper.total("llmtoken_requests_total") == 8 * len(HOSTILE))
        yield scraper


def test_every_sample_arrives(collector: Collector, scraper: Prometheus) -> None:
    families = text_string_to_metric_families(collector.client.get("/metrics").text)
    samples = sum(len(family.samples) for family in families)
    wait_for(lambda: scraper.total("scrape_samples_scraped") == samples)
    assert scraper.total("up") == 1


def test_names_are_limited_and_what_exceeds_the_limit_is_counted(scraper: Prometheus) -> None:
    tokens = "gen_ai_client_inference_usage_input_tokens_total"
    for label, dimension in (("gen_ai_response_model", "model"), ("llmtoken_consumer", "consumer")):
        names = scraper.label_values(label, tokens)
        assert len(names) == 21
        assert "_other" in names
        assert max(map(len, names)) <= 256
        assert scraper.total(f'llmtoken_overflow_total{{llmtoken_dimension="{dimension}"}}') > 0
    assert scraper.total(tokens) == 7 * 8 * len(HOSTILE)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.name)
def test_the_example_of_every_metric_can_be_asked(scraper: Prometheus, instrument: Any) -> None:
    scraper.query(instrument.example.split(": ", 1)[1])


def test_prometheus_gets_openmetrics_when_it_asks_as_it_does(collector: Collector) -> None:
    asked = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain"
    answer = collector.client.get("/metrics", headers={"accept": asked})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("\n# EOF\n")
    assert "_created" not in answer.text
