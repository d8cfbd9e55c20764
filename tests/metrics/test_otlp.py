"""The same metrics over OTLP: equal numbers, at once or as news, and nothing lost when nobody takes them."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llmtoken.errors import ConfigError
from llmtoken.metrics import otlp
from support.calls import call, failed, streamed
from support.collector import Collector, running, wait_for
from support.counting import BEGAN, Counting
from support.otlp import Receiver, Samples, receiving, samples
from support.ports import free_port

CALLS, CALLS_NAME = "llmtoken_requests_total", "llmtoken.requests"

ONE_CALL = {
    "method": "POST",
    "path": "/v1/chat/completions",
    "host": "api.openai.com",
    "status": 200,
    "request_body": json.dumps({"model": "gpt-4o", "messages": []}),
    "response_body": json.dumps({"model": "gpt-4o", "usage": {"prompt_tokens": 8, "completion_tokens": 2}}),
    "elapsed_time": 2.0,
}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")


def shown(metrics: Counting | Collector) -> Samples:
    """What `/metrics` says; an empty label is none."""
    text = (
        metrics.client.get("/metrics").text if isinstance(metrics, Collector) else metrics.exposition(None)[0].decode()
    )
    return {
        (sample.name, frozenset(label for label in sample.labels.items() if label[1])): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name != "target_info"
    }


def calls_in(found: Samples) -> float:
    return sum(value for (name, _), value in found.items() if name == CALLS)


@pytest.mark.usefixtures("often")
def test_a_collector_pushes_the_numbers_that_it_shows(receiver: Receiver, tmp_path: Path) -> None:
    with running(tmp_path, instance="here") as collector:
        for number in range(3):
            collector.report(ONE_CALL | {"request_id": f"r{number}"})
        wait_for(lambda: receiver.pushes and samples(receiver.pushes[-1]) == shown(collector))
        assert calls_in(shown(collector)) == 3
    assert receiver.resource() | {"service.version": "x"} == {
        "service.name": "llmtoken",
        "service.instance.id": "here",
        "service.version": "x",
    }
    assert receiver.headers[-1]["path"] == "/v1/metrics"
    assert set(receiver.temporalities().values()) == {2}


def test_the_last_push_comes_at_the_end_and_has_everything(receiver: Receiver) -> None:
    metrics = Counting()
    metrics.record([call(), streamed(), failed()])
    metrics.committed(0.01, 3)
    expected = shown(metrics)
    metrics.close()
    (push,) = receiver.pushes
    assert samples(push) == expected


@pytest.mark.usefixtures("often")
def test_news_alone_add_up_to_what_is_shown(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    metrics = Counting()
    for number in range(3):
        metrics.record([call(), streamed(), call(cost=None, consumer=f"c{number}")])
        before = len(receiver.pushes)
        wait_for(lambda before=before: len(receiver.pushes) > before)
    expected = shown(metrics)
    metrics.close()
    assert set(receiver.temporalities().values()) == {1}
    added: Counter = Counter()
    for push in receiver.pushes:
        added.update(samples(push))
    for (name, labels), value in expected.items():
        if name.startswith("gen_ai") or name in (CALLS, "llmtoken_cost_usd_total", "llmtoken_unpriced_requests_total"):
            assert added[name, labels] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize(("preference", "pushed"), [("delta", [2, 1]), ("cumulative", [2, 3])])
def test_what_was_counted_before_a_restart_is_no_news_but_part_of_everything(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, preference: str, pushed: list[int]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    first = Counting()
    first.record([call(), call()])
    first.close()
    second = Counting(totals=first.totals)
    second.record([call()])
    second.close()
    assert [calls_in(samples(push)) for push in receiver.pushes] == pushed


def test_a_counter_that_goes_on_after_a_restart_says_when_it_stood_at_0(receiver: Receiver) -> None:
    for _ in range(2):
        metrics = Counting()
        metrics.record([call()])
        metrics.close()
    assert {receiver.start_of(CALLS_NAME, push) for push in receiver.pushes} == {int(BEGAN.timestamp() * 1e9)}


def test_headers_and_compression_are_those_of_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "meter")
    Counting().close()
    assert receiver.headers[0]["authorization"] == "Bearer secret"
    assert receiver.headers[0]["content-encoding"] == "gzip"
    assert receiver.resource()["service.name"] == "meter"
    assert receiver.resource()["deployment.environment"] == "test"


@pytest.mark.usefixtures("often")
def test_who_is_not_there_is_said_once_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    metrics = Counting()
    try:
        failures = ("llmtoken_otlp_failures_total", frozenset[tuple[str, str]]())
        assert shown(metrics)[failures] == 0
        wait_for(lambda: shown(metrics)[failures] >= 3)
        metrics.record([call()])
        assert calls_in(shown(metrics)) == 1
    finally:
        metrics.close()
    (said,) = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert f"Metrics can't be pushed to http://127.0.0.1:{port}, counting goes on: " in said.getMessage()


@pytest.mark.usefixtures("often")
def test_that_it_works_again_is_said_too(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.status = 400
    metrics = Counting()
    wait_for(lambda: "counting goes on: Failed to export metrics batch code: 400" in caplog.text)
    receiver.status = 200
    wait_for(lambda: "are pushed to" in caplog.text)
    metrics.close()


def test_the_end_does_not_wait_for_who_never_answers(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "LAST_PUSH_MILLISECONDS", 100)
    receiver.answering.clear()
    Counting().close()
    assert not receiver.answering.is_set()
    wait_for(lambda: receiver.pushes)


@pytest.mark.usefixtures("often")
def test_counting_and_scrapes_go_on_while_a_push_hangs(receiver: Receiver) -> None:
    receiver.answering.clear()
    metrics = Counting()
    wait_for(lambda: receiver.pushes)
    metrics.record([call()])
    assert calls_in(shown(metrics)) == 1
    receiver.answering.set()
    metrics.close()


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_without_the_package_the_start_stops_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(ConfigError) as caught:
        Counting()
    assert "pip install 'llmtoken[otlp]'" in caught.value.hint


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60s"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
    ],
)
def test_a_wrong_variable_stops_the_start(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        Counting()
    assert value in caught.value.message


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_METRICS_EXPORTER", "none")]
)
def test_nothing_is_pushed_unless_it_is_asked_for(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    metrics = Counting()
    assert metrics._push is None
    metrics.close()
    assert receiver.pushes == []
