"""Counters of calls show what the totals stand at."""

from decimal import Decimal
from random import Random

from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData, NumberDataPoint

from llmtoken.metrics import instruments
from llmtoken.metrics.beside import View
from llmtoken.metrics.totals import Counter
from llmtoken.totals import NOTHING, Labels, Sums, labels, plus, total
from support.calls import call, without_tokens
from support.counting import BEGAN

DELTA = dict.fromkeys(("counter", "histogram"), AggregationTemporality.DELTA)


def counted(*calls) -> dict[Labels, Sums]:
    totals: dict[Labels, Sums] = {}
    for each in calls:
        totals[labels(each)] = plus(totals.get(labels(each), NOTHING), total([each]))
    return totals


def points(view: View) -> list[NumberDataPoint]:
    return [
        point
        for resource in view.beside(MetricsData([])).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def test_totals_that_differ_in_labels_which_a_counter_does_not_show_are_one_series() -> None:
    totals = counted(call(), call(stream=True, http_status=201), call(consumer="bob"))
    counter = Counter(instruments.COST, "cost", lambda: totals, began=BEGAN, limit=10)
    assert {point.attributes["llmtoken.consumer"]: point.value for point in points(View([counter]))} == {
        "alice": float(2 * Decimal("0.00037")),
        "bob": 0.00037,
    }


def test_what_no_call_said_has_no_series() -> None:
    totals = counted(without_tokens())
    assert (
        points(View([Counter(instruments.INPUT_TOKENS, "input_tokens", lambda: totals, began=BEGAN, limit=10)])) == []
    )
    assert points(View([Counter(instruments.UNPRICED, "unpriced_calls", lambda: totals, began=BEGAN, limit=10)])) == []


def test_series_beyond_the_limit_are_added_up_in_one_the_first_ones_stay() -> None:
    totals = counted(*(call(consumer=name) for name in "abcabd"))
    counter = Counter(instruments.INPUT_TOKENS, "input_tokens", lambda: totals, began=BEGAN, limit=2)
    assert [(point.attributes.get("llmtoken.consumer"), point.value) for point in points(View([counter]))] == [
        ("a", 200),
        ("b", 200),
        (None, 200),
    ]
    assert points(View([counter]))[-1].attributes == {"otel.metric.overflow": True}


def test_news_are_what_came_since_exact_to_the_last_digit() -> None:
    long = Decimal("0.123456789012345678901234567890")
    totals = counted(call(cost=long), call(consumer="bob"))
    news = View([Counter(instruments.COST, "cost", lambda: totals, began=BEGAN, limit=10)], DELTA)
    assert len(points(news)) == 2
    totals |= counted(call(cost=long), call(cost=Decimal("1E-30")))
    (point,) = points(news)
    assert point.value == 1e-30
    assert points(news) == []


def test_each_look_shows_what_the_totals_stand_at() -> None:
    totals: dict[Labels, Sums] = {}
    counter = Counter(instruments.COST, "cost", lambda: totals, began=BEGAN, limit=2)
    dice = Random(3)  # noqa: S311 - nothing secret
    for _ in range(200):
        for labelled, sums in counted(call(consumer=dice.choice("abcd"), stream=dice.random() < 0.5)).items():
            totals[labelled] = plus(totals.get(labelled, NOTHING), sums)
        if dice.random() < 0.1:
            totals = counted(call(consumer="a"))  # as after a commit of which nobody knew whether it was made
        anew = Counter(instruments.COST, "cost", lambda: totals, began=BEGAN, limit=2)  # noqa: B023 - at once
        assert sorted(counter.series().values()) == sorted(anew.series().values())
