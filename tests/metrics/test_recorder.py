"""What a call adds to which metric."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llmtoken.errors import ConfigError
from llmtoken.metrics import Metrics
from support.calls import call, failed, streamed, without_tokens
from support.counting import Counting

INPUT = "gen_ai_client_inference_usage_input_tokens_total"
OUTPUT = "gen_ai_client_inference_usage_output_tokens_total"


class Seen:
    """Metrics under test, and the sums of what they show."""

    def __init__(self, **limits: int) -> None:
        self.metrics = Counting(**limits)

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        families = text_string_to_metric_families(self.metrics.exposition(None)[0].decode())
        return [(s.labels, s.value) for family in families for s in family.samples if s.name == name]

    def sum(self, name: str, **labels: str) -> float:
        found = [value for shown, value in self.samples(name) if labels.items() <= shown.items()]
        return sum(found)


@pytest.fixture
def seen() -> Iterator[Seen]:
    seen = Seen()
    yield seen
    seen.metrics.close()


def test_tokens_are_counted_by_model_consumer_and_source(seen: Seen) -> None:
    seen.metrics.record([call(), call(), call(consumer="bob", usage_source="estimated", input_tokens=7)])
    assert sorted(seen.samples(INPUT), key=lambda sample: sample[1]) == [
        (
            {
                "gen_ai_operation_name": "chat",
                "gen_ai_provider_name": "openai",
                "gen_ai_request_model": "gpt-4o",
                "gen_ai_response_model": "gpt-4o-2024-08-06",
                "llmtoken_consumer": consumer,
                "llmtoken_usage_source": source,
            },
            tokens,
        )
        for consumer, source, tokens in (("bob", "estimated", 7), ("alice", "reported", 200))
    ]


def test_batches_add_up(seen: Seen) -> None:
    for _ in range(3):
        seen.metrics.record([call(), call()])
    assert seen.sum(OUTPUT) == 6 * 20
    assert seen.sum("llmtoken_requests_total") == 6


def test_unknown_tokens_are_not_zero(seen: Seen) -> None:
    seen.metrics.record([without_tokens()])
    assert seen.sum("llmtoken_requests_total", llmtoken_usage_source="unknown") == 1
    assert seen.samples(INPUT) == []
    assert seen.samples("gen_ai_client_token_usage_count") == []
    assert seen.samples("llmtoken_output_speed_per_second_count") == []


def test_one_known_side_is_counted_alone(seen: Seen) -> None:
    seen.metrics.record([call(operation_name="embeddings", output_tokens=None)])
    assert seen.sum(INPUT) == 100
    assert seen.samples(OUTPUT) == []
    assert [labels["gen_ai_token_type"] for labels, _ in seen.samples("gen_ai_client_token_usage_count")] == ["input"]


def test_no_tokens_at_all_is_a_known_zero(seen: Seen) -> None:
    seen.metrics.record([call(output_tokens=0)])
    assert [value for _, value in seen.samples(OUTPUT)] == [0]


def test_unknown_names_are_empty_and_never_the_word_none(seen: Seen) -> None:
    nobody = {"operation_name": None, "provider_name": None, "request_model": None, "response_model": None}
    seen.metrics.record([call(**nobody, consumer=None, http_status=None, aborted=None)])
    labels = seen.samples("llmtoken_requests_total")[0][0] | seen.samples(INPUT)[0][0]
    stream_and_source = {"gen_ai_request_stream": "false", "llmtoken_usage_source": "reported"}
    assert {name: value for name, value in labels.items() if value} == stream_and_source


def test_an_error_is_shown_with_its_type_and_status(seen: Seen) -> None:
    seen.metrics.record([failed(), call()])
    wrong = {"error_type": "rate_limit_exceeded"}
    assert seen.sum("llmtoken_requests_total", http_response_status_code="429", **wrong) == 1
    assert seen.sum("gen_ai_client_operation_duration_seconds_count", **wrong) == 1
    assert seen.sum("gen_ai_client_operation_duration_seconds_count") == 2


def test_a_call_that_was_cut_says_by_whom(seen: Seen) -> None:
    seen.metrics.record([streamed(aborted="client"), streamed(aborted="upstream"), streamed()])
    assert seen.sum("llmtoken_requests_total", llmtoken_aborted="client", gen_ai_request_stream="true") == 1


def test_chunk_times_are_of_streamed_calls_only(seen: Seen) -> None:
    seen.metrics.record([streamed(), call()])
    first, each = (f"gen_ai_client_operation_time_{what}_chunk_seconds" for what in ("to_first", "per_output"))
    assert (seen.sum(f"{first}_count"), seen.sum(f"{first}_sum")) == (1, 0.5)
    assert (seen.sum(f"{each}_count"), seen.sum(f"{each}_sum")) == (1, 0.03)


def test_costs_are_added_up_exactly_before_they_become_floats(seen: Seen) -> None:
    seen.metrics.record([call(cost=Decimal("0.1"))] * 10)
    assert [value for _, value in seen.samples("llmtoken_cost_usd_total")] == [1.0]


def test_a_call_with_tokens_and_no_price_is_unpriced(seen: Seen) -> None:
    seen.metrics.record([call(cost=None), call(), without_tokens(), call(cost=Decimal(0))])
    assert seen.sum("llmtoken_unpriced_requests_total") == 1
    assert seen.sum("llmtoken_cost_usd_total") == 0.00037


def test_models_beyond_the_limit_are_counted_together() -> None:
    seen = Seen(max_models=3)
    seen.metrics.record([call(request_model=f"m{number}", response_model=None) for number in range(10)])
    models = {labels["gen_ai_request_model"]: value for labels, value in seen.samples(INPUT)}
    assert models == {"m0": 100, "m1": 100, "m2": 100, "_other": 700}
    assert seen.sum("llmtoken_overflow_total", llmtoken_dimension="model") == 7
    assert seen.sum("llmtoken_overflow_total") == 7


def test_asked_for_and_answering_models_share_one_limit() -> None:
    seen = Seen(max_models=2)
    seen.metrics.record([call(), call(request_model="gpt-4o-2024-08-06", response_model="new")])
    assert {labels["gen_ai_response_model"] for labels, _ in seen.samples(INPUT)} == {"gpt-4o-2024-08-06", "_other"}


def test_consumers_beyond_the_limit_are_counted_together() -> None:
    seen = Seen(max_consumers=2)
    seen.metrics.record([call(consumer=f"c{number}") for number in range(5)])
    assert {labels["llmtoken_consumer"] for labels, _ in seen.samples(INPUT)} == {"c0", "c1", "_other"}
    assert seen.sum(INPUT) == 500
    assert seen.sum("llmtoken_overflow_total", llmtoken_dimension="consumer") == 3


def test_no_combination_of_names_makes_more_series_than_the_ceiling(seen: Seen) -> None:
    for model in range(41):
        seen.metrics.record([call(request_model=f"m{model}", consumer=f"c{consumer}") for consumer in range(100)])
    samples = seen.samples(INPUT)
    assert len(samples) == 4001
    assert sum(value for _, value in samples) == 4100 * 100
    assert [value for labels, value in samples if labels.get("otel_metric_overflow")] == [100 * 100]


@pytest.mark.parametrize(
    "name", ['"quoted"', "back\\slash", "new\nline", "\x00\x1b[31m", "\ud800", "x" * 10_000, "模型"]
)
def test_no_name_breaks_the_exposition(seen: Seen, name: str) -> None:
    seen.metrics.record([call(request_model=name, consumer=name, provider_name=name, error_type=name)])
    assert seen.sum(INPUT) == 100


def test_duplicates_and_rejections_are_reports_but_no_calls(seen: Seen) -> None:
    seen.metrics.reports(accepted=3, duplicates=2, rejected=1)
    outcomes = {labels["llmtoken_report_outcome"]: value for labels, value in seen.samples("llmtoken_reports_total")}
    assert outcomes == {"accepted": 3, "duplicate": 2, "rejected": 1}
    assert seen.samples("llmtoken_requests_total") == []


def test_a_problem_can_be_shown_before_it_first_happens(seen: Seen) -> None:
    seen.metrics.parse_failures("damaged", 0)
    assert seen.samples("llmtoken_parse_failures_total") == [({"llmtoken_parse_problem": "damaged"}, 0)]
    seen.metrics.parse_failures("damaged")
    seen.metrics.parse_failures("damaged", 2)
    assert seen.sum("llmtoken_parse_failures_total") == 3


def test_losses_are_shown_by_reason_from_zero(seen: Seen) -> None:
    assert seen.sum("llmtoken_plugin_dropped_total") == 0
    seen.metrics.losses = {("dropped", "queue_full"): 5, ("missing", ""): 3, ("late", ""): 1}
    assert seen.samples("llmtoken_plugin_dropped_total")[0] == ({"reason": "queue_full"}, 5)
    assert seen.sum("llmtoken_plugin_failed_total") == 0
    assert seen.samples("llmtoken_plugin_missing_reports_total") == [({}, 3)]
    assert seen.samples("llmtoken_plugin_late_reports_total") == [({}, 1)]


def test_a_commit_leaves_its_time_and_duration(seen: Seen) -> None:
    assert seen.samples("llmtoken_commit_last_timestamp_seconds") == []
    seen.metrics.committed(0.02, 4)
    assert seen.sum("llmtoken_commit_rows_total") == 4
    assert seen.sum("llmtoken_commit_duration_seconds_sum") == 0.02
    assert seen.sum("llmtoken_commit_last_timestamp_seconds") > 1.7e9


def test_a_disabled_sdk_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.raises(ConfigError, match="OTEL_SDK_DISABLED"):
        Metrics(max_models=1, max_consumers=1, instance="test")


def test_estimates_are_held_against_reports_by_model_and_side(seen: Seen) -> None:
    seen.metrics.estimated(call(), "output", 0.98)
    seen.metrics.estimated(call(), "output", 1.5)
    labels = {"gen_ai_request_model": "gpt-4o", "gen_ai_provider_name": "openai", "gen_ai_token_type": "output"}
    assert seen.sum("llmtoken_estimate_ratio_count", **labels) == 2
    assert seen.sum("llmtoken_estimate_ratio_bucket", le="0.99", **labels) == 1
    assert seen.sum("llmtoken_estimate_ratio_sum", **labels) == pytest.approx(2.48)


# ── After a restart ─────────────────────────────────────────────────────────────────────


def restarted(before: Seen, **limits: int) -> Seen:
    after = Seen.__new__(Seen)
    after.metrics = Counting(totals=before.metrics.totals, **limits)
    return after


def test_counters_of_calls_go_on_and_histograms_begin_anew(seen: Seen) -> None:
    seen.metrics.record([call(), streamed(), failed(), call(cost=None)])
    seen.metrics.reports(accepted=4)
    seen.metrics.committed(0.01, 4)
    after = restarted(seen)
    counters = [INPUT, OUTPUT, "llmtoken_requests_total", "llmtoken_cost_usd_total", "llmtoken_unpriced_requests_total"]
    for name in (*counters, "llmtoken_reports_total", "llmtoken_commit_rows_total"):
        assert after.samples(name) == seen.samples(name)
    assert after.samples("gen_ai_client_operation_duration_seconds_count") == []


def test_no_counter_goes_backwards_over_a_restart_however_costs_are_added_up(seen: Seen) -> None:
    for number in range(1, 200):
        seen.metrics.record([call(cost=Decimal(number) / 7000000)])
        assert restarted(seen).sum("llmtoken_cost_usd_total") == seen.sum("llmtoken_cost_usd_total")


def test_names_keep_their_places_and_others_stay_other_after_a_restart() -> None:
    before = Seen(max_models=2)
    before.metrics.record([call(request_model=f"m{number}", response_model=None) for number in range(3)])
    after = restarted(before, max_models=2)
    after.metrics.record([call(request_model=f"m{number}", response_model=None) for number in (2, 1, 0)])
    assert {labels["gen_ai_request_model"]: value for labels, value in after.samples(INPUT)} == {
        "m0": 200,
        "m1": 200,
        "_other": 200,
    }


def test_a_lower_limit_takes_no_series_away() -> None:
    before = Seen(max_consumers=3)
    before.metrics.record([call(consumer=f"c{number}") for number in range(3)])
    after = restarted(before, max_consumers=1)
    after.metrics.record([call(consumer=f"c{number}") for number in range(4)])
    assert {labels["llmtoken_consumer"] for labels, _ in after.samples(INPUT)} == {"c0", "c1", "c2", "_other"}


def test_the_ceiling_folds_the_same_series_after_a_restart(seen: Seen) -> None:
    for model in range(41):
        seen.metrics.record([call(request_model=f"m{model}", consumer=f"c{consumer}") for consumer in range(100)])
    seen.metrics.record([call(request_model="m40", consumer="c0")])
    assert restarted(seen).samples(INPUT) == seen.samples(INPUT)
