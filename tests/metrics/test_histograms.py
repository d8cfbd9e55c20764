"""Histograms of calls say what the SDK's own would."""

import random
from threading import Lock

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation
from opentelemetry.sdk.metrics.view import View as SdkView

from llmtoken.metrics import instruments
from llmtoken.metrics.beside import View, known
from llmtoken.metrics.histograms import Histogram
from support.calls import call
from support.counting import Counting

DELTA = dict.fromkeys(("counter", "histogram"), AggregationTemporality.DELTA)
NOTHING = MetricsData([])


def points(histogram: Histogram, view: View | None = None) -> list[HistogramDataPoint]:
    view = view or View([histogram])
    return [
        point
        for resource in view.beside(NOTHING).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def test_buckets_sums_and_counts_are_those_of_the_sdk() -> None:
    instrument = instruments.TOKEN_USAGE
    reader = InMemoryMetricReader()
    view = SdkView(instrument_name="*", aggregation=ExplicitBucketHistogramAggregation(instrument.buckets))
    provider = MeterProvider([reader], views=[view], shutdown_on_exit=False)
    theirs, ours = (
        provider.get_meter("x").create_histogram(instrument.name),
        Histogram(instrument, limit=10, lock=Lock()),
    )
    chance = random.Random(1)  # noqa: S311
    edges = [0, *instrument.buckets, 1e12]
    for value in [*edges, *(chance.choice(edges) * chance.random() for _ in range(500))]:
        labels = ("chat", "openai", chance.choice(["a", "b"]), "", "input")
        theirs.record(value, known(instrument.attributes, labels))
        ours.record(labels, value)
    data = reader.get_metrics_data()
    assert data
    expected = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    seen = [(point.attributes, point.count, point.sum, list(point.bucket_counts)) for point in points(ours)]
    assert seen == [(point.attributes, point.count, point.sum, list(point.bucket_counts)) for point in expected]
    provider.shutdown()


def test_series_beyond_the_limit_are_added_up_in_one() -> None:
    histogram = Histogram(instruments.OUTPUT_SPEED, limit=2, lock=Lock())
    for model in ("a", "b", "c", "a", "d"):
        histogram.record(("chat", "openai", model, ""), 10)
    assert [(point.attributes.get("gen_ai.request.model"), point.count) for point in points(histogram)] == [
        ("a", 2),
        ("b", 1),
        (None, 2),
    ]
    assert points(histogram)[-1].attributes == {"otel.metric.overflow": True}


def test_nothing_is_shown_before_the_first_value() -> None:
    assert points(Histogram(instruments.DURATION, limit=2, lock=Lock())) == []


def test_who_wants_news_gets_what_was_recorded_since_it_looked_last() -> None:
    histogram = Histogram(instruments.OUTPUT_SPEED, limit=3, lock=Lock())
    news, everything = View([histogram], DELTA), View([histogram])
    for model in ("a", "b"):
        histogram.record(("chat", "openai", model, ""), 10)
    assert [point.count for point in points(histogram, news)] == [1, 1]
    histogram.record(("chat", "openai", "b", ""), 20)
    (point,) = points(histogram, news)
    assert (point.attributes["gen_ai.request.model"], point.count, point.sum, sum(point.bucket_counts)) == (
        "b",
        1,
        20,
        1,
    )
    assert points(histogram, news) == []
    assert [point.count for point in points(histogram, everything)] == [1, 2]


def test_the_time_of_news_goes_on_where_the_last_ended() -> None:
    histogram = Histogram(instruments.OUTPUT_SPEED, limit=3, lock=Lock())
    news = View([histogram], DELTA)
    ends = []
    for _ in range(2):
        histogram.record(("chat", "openai", "a", ""), 10)
        (point,) = points(histogram, news)
        ends.append((point.start_time_unix_nano, point.time_unix_nano))
    assert ends[0][1] == ends[1][0]


def test_names_of_any_length_are_not_kept_ready() -> None:
    metrics = Counting()
    metrics.record([call(request_model="m" * 5000), call()])
    assert len(metrics._labelling._ready) == 1
    metrics.close()


def test_a_name_that_had_no_place_gets_its_own_series_once_it_has_one() -> None:
    metrics = Counting(max_models=4)
    for name in ("a", "b", "late"):
        metrics.record([call(request_model=name, response_model=None, error_type="x")])
    metrics.record([call(request_model="late", response_model=None)])
    assert [labels.request_model for labels in metrics.totals] == ["a", "b", "_other", "late"]
    metrics.close()
