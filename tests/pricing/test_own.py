"""Own prices win over the list, are exact, and say which they were."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from llmtoken import pricing
from llmtoken.inference import Inference, Usage
from llmtoken.rates import OwnPrice

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MILLION = 1_000_000


def call(model: str = "qwen3-8b", provider: str = "self_hosted", **usage: int) -> Inference:
    return Inference(
        operation_name="chat",
        provider_name=provider,
        request_model=model,
        usage=Usage(**(usage or {"input_tokens": MILLION, "output_tokens": MILLION}), source="reported"),
    )


def cost(inference: Inference, *prices: dict[str, Any], duration: float | None = 2.0) -> Decimal | None:
    found = pricing.price(inference, NOW, duration=duration, own=[OwnPrice(**price) for price in prices])
    return found.amount if found else None


BY_TOKENS = {"model": "qwen*", "input_per_million": "0.10", "output_per_million": "0.40"}


def test_tokens_cost_what_the_configuration_says() -> None:
    assert cost(call(), BY_TOKENS) == Decimal("0.5")


def test_every_part_has_its_own_rate_where_it_is_given_and_else_that_of_its_whole() -> None:
    usage = {
        "input_tokens": 10 * MILLION,
        "output_tokens": 10 * MILLION,
        "cache_read_input_tokens": MILLION,
        "cache_write_input_tokens": MILLION,
        "reasoning_output_tokens": MILLION,
        "input_audio_tokens": MILLION,
        "output_audio_tokens": MILLION,
    }
    assert cost(call(**usage), BY_TOKENS) == 1 + 4
    own = BY_TOKENS | {
        "cache_read_per_million": 0.01,
        "cache_write_per_million": 0.2,
        "reasoning_per_million": 1,
        "input_audio_per_million": 2,
        "output_audio_per_million": 3,
    }
    assert cost(call(**usage), own) == Decimal("0.7") + Decimal("0.01") + Decimal("0.2") + 2 + Decimal("3.2") + 1 + 3


def test_a_second_and_a_call_may_cost_something_too() -> None:
    assert cost(call(), {"model": "*", "per_second": "0.0005"}) == Decimal("0.001")
    assert cost(call(), BY_TOKENS | {"per_second": "0.0005", "per_call": "0.01"}) == Decimal("0.511")


def test_a_cost_by_the_second_fits_into_the_audit() -> None:
    found = cost(call(), {"model": "*", "per_second": "0.000000000001"}, duration=0.1234567890123456789)
    assert found == Decimal("0.000000000000123456789")


def test_an_own_price_wins_over_the_list() -> None:
    negotiated = {"model": "gpt-4o*", "provider": "openai", "input_per_million": 1, "output_per_million": 1}
    assert cost(call("gpt-4o", "openai"), negotiated) == 2
    assert cost(call("gpt-4o", "azure.ai.openai"), negotiated) != 2


def test_the_first_that_fits_counts() -> None:
    dear, cheap = BY_TOKENS | {"model": "*", "input_per_million": 5}, BY_TOKENS
    assert cost(call(output_tokens=0, input_tokens=MILLION), cheap, dear) == Decimal("0.1")
    assert cost(call(output_tokens=0, input_tokens=MILLION), dear, cheap) == 5


def test_the_model_that_answered_or_the_one_asked_for_may_fit_whatever_the_case() -> None:
    assert cost(call("Org/QWEN3"), BY_TOKENS | {"model": "*/qwen*"}) is not None
    assert cost(call("llama"), BY_TOKENS) is None


def test_a_price_holds_from_its_first_day_on() -> None:
    new = BY_TOKENS | {"since": date(2026, 11, 1), "input_per_million": 2}
    own = [OwnPrice(**new), OwnPrice(**BY_TOKENS)]
    before = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)
    assert pricing.price(call(), NOW, own=own).amount == Decimal("2.4")
    assert pricing.price(call(), before, own=own).amount == Decimal("0.5")


def test_the_version_names_the_price_its_rates_and_its_first_day() -> None:
    first = OwnPrice(**BY_TOKENS, since=date(2026, 1, 1), provider="self_hosted")
    found = pricing.price(call(), NOW, own=[first])
    assert found.version == first.version
    assert first.version.startswith("own self_hosted/qwen* ")
    assert first.version.endswith("@2026-01-01")
    dearer = OwnPrice(**BY_TOKENS | {"input_per_million": "0.2"}, since=date(2026, 1, 1), provider="self_hosted")
    assert dearer.version != first.version
    assert OwnPrice(**BY_TOKENS | {"input_per_million": "0.100"}).version == OwnPrice(**BY_TOKENS).version


@pytest.mark.parametrize(
    ("inference", "price"),
    [
        (call(input_tokens=5), BY_TOKENS),
        (call(input_tokens=5, output_tokens=5), {"model": "*", "input_per_million": 1}),
        (
            call(input_tokens=5, output_tokens=5, cache_read_input_tokens=6),
            BY_TOKENS | {"cache_read_per_million": 1},
        ),
    ],
    ids=["tokens unknown", "a side without a rate", "usage contradicts itself"],
)
def test_what_is_not_known_has_no_price_and_the_list_is_not_asked(inference: Inference, price: dict[str, Any]) -> None:
    assert cost(inference, price) is None


def test_a_duration_that_is_not_known_has_no_price() -> None:
    assert cost(call(), {"model": "*", "per_second": 1}, duration=None) is None


@pytest.mark.parametrize(
    "changes",
    [{"operation_name": "manage"}, {"operation_name": None}, {"error_type": "429"}, {"fetched": True}],
    ids=["a list", "not understood", "refused", "polled"],
)
def test_seconds_and_calls_are_paid_only_where_the_model_worked(changes: dict[str, Any]) -> None:
    transcription = Inference(request_model="whisper-1", operation_name="transcription")
    own = {"model": "whisper*", "per_second": 1, "per_call": 1}
    assert cost(transcription, own) == 3
    assert cost(replace(transcription, **changes), own) is None


def test_a_reply_that_is_fetched_costs_its_tokens_alone() -> None:
    assert cost(replace(call(), fetched=True), BY_TOKENS | {"per_call": 1}) == Decimal("0.5")
