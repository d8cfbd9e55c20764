"""How much is shown: 20 models with 20 consumers each fit into 2,000 series, and no call is lost for it."""

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llmtoken.metrics.detail import LEFT_OUT
from support.calls import streamed
from support.collector import sum_samples
from support.counting import Counting

CALLS = [
    streamed(request_model=f"m{model}", response_model=f"m{model}-1", consumer=f"c{consumer}")
    for model in range(20)
    for consumer in range(20)
]


def text(metrics: Counting) -> str:
    return metrics.exposition(None)[0].decode()


def series(metrics: Counting) -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(text(metrics)))


@pytest.fixture
def lean() -> Iterator[Counting]:
    metrics = Counting(detail="lean")
    yield metrics
    metrics.close()


def test_the_lean_set_is_below_2000_series_for_20_models_with_20_consumers(lean: Counting) -> None:
    lean.record(CALLS)
    lean.estimated(CALLS[0], "input", 1.0)
    lean.committed(0.01, 400)
    assert series(lean) < 2000


def test_lean_and_full_count_the_same(lean: Counting) -> None:
    full = Counting()
    for metrics in (full, lean):
        metrics.record(CALLS[:40])
    for name in (
        "gen_ai_client_inference_usage_input_tokens_total",
        "gen_ai_client_inference_usage_reasoning_output_tokens_total",
        "gen_ai_client_operation_duration_seconds_count",
        "gen_ai_client_operation_time_per_output_chunk_seconds_sum",
        "llmtoken_output_speed_per_second_count",
        "llmtoken_requests_total",
        "llmtoken_cost_usd_total",
    ):
        assert sum_samples(text(lean), name) == sum_samples(text(full), name), name
    below = {"le": "10.24"}
    with pytest.raises(AssertionError):
        sum_samples(text(lean), "gen_ai_client_operation_duration_seconds_bucket", **below)
    half = {"le": "20.48"}
    buckets = "gen_ai_client_operation_duration_seconds_bucket"
    assert sum_samples(text(lean), buckets, **half) == sum_samples(text(full), buckets, **half)
    full.close()


def test_what_is_left_out_is_not_there_at_all(lean: Counting) -> None:
    lean.record(CALLS[:1])
    lean.estimated(CALLS[0], "input", 1.0)
    for instrument in LEFT_OUT:
        assert instrument.prometheus not in text(lean)
