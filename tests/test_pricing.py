"""Costs come from the bundled price list, each kind of token at its own rate, or not at all."""

from __future__ import annotations

import contextlib
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

import genai_prices
import pytest

from llmtoken import decode, extract, pricing
from llmtoken.inference import Inference, Usage
from support import recordings

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MILLION = 1_000_000


def call(provider: str | None, model: str | None, *, operation: str = "chat", **usage: int) -> Inference:
    return Inference(
        operation_name=operation,
        provider_name=provider,
        request_model=model,
        usage=Usage(**usage, source="reported"),
    )


def cost(inference: Inference, at: datetime = NOW) -> Decimal:
    found = pricing.price(inference, at)
    assert found is not None
    return found.amount


def test_input_and_output_have_their_own_rates() -> None:
    usage = {"input_tokens": MILLION, "output_tokens": MILLION}
    assert cost(call("openai", "gpt-4o-mini", **usage)) == Decimal("0.15") + Decimal("0.6")


def test_cached_input_costs_what_cached_input_costs() -> None:
    usage = {"input_tokens": MILLION, "output_tokens": 0, "cache_read_input_tokens": MILLION}
    assert cost(call("openai", "gpt-4o-mini", **usage)) == Decimal("0.075")


def test_writing_the_cache_costs_more_than_plain_input() -> None:
    usage = {"input_tokens": 2 * MILLION, "output_tokens": 0, "cache_write_input_tokens": MILLION}
    assert cost(call("aws.bedrock", "us.anthropic.claude-3-7-sonnet-20250219-v1:0", **usage)) == Decimal("6.75")


def test_audio_costs_what_audio_costs() -> None:
    text = {"input_tokens": MILLION, "output_tokens": MILLION}
    audio = {"input_audio_tokens": MILLION, "output_audio_tokens": MILLION}
    assert cost(call("openai", "gpt-realtime", **text, **audio)) > cost(call("openai", "gpt-realtime", **text))


def test_reasoning_costs_what_reasoning_costs() -> None:
    usage = {"input_tokens": 0, "output_tokens": MILLION}
    plain = cost(call("perplexity", "sonar-deep-research", **usage))
    assert cost(call("perplexity", "sonar-deep-research", **usage, reasoning_output_tokens=MILLION)) != plain


def test_the_price_of_the_day_applies_and_the_version_names_its_first_day() -> None:
    inference = call("openai", "o3", input_tokens=MILLION, output_tokens=0)
    before, after = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)
    assert cost(inference, before) == 10
    assert cost(inference, after) == 2
    dated = pricing.price(inference, after)
    assert dated
    assert dated.version == f"genai-prices/{genai_prices.__version__} openai/o3@2025-06-10"


def test_the_model_that_answered_decides_and_the_one_asked_for_helps_out() -> None:
    usage = Usage(input_tokens=MILLION, output_tokens=0, source="reported")
    routed = Inference(provider_name="openai", request_model="gpt-4o", response_model="gpt-4o-mini", usage=usage)
    renamed = Inference(provider_name="openai", request_model="gpt-4o-mini", response_model="model-7", usage=usage)
    assert cost(routed) == cost(renamed) == Decimal("0.15")


def test_an_embedding_needs_no_output_to_be_priced() -> None:
    assert cost(call("openai", "text-embedding-3-small", operation="embeddings", input_tokens=MILLION)) > 0


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (None, "gpt-4o"),
        ("self_hosted", "gpt-4o"),
        ("my-openai-proxy", "gpt-4o"),
        ("openai", "no-such"),
        ("openai", None),
    ],
)
def test_who_is_unknown_has_no_price(provider: str | None, model: str | None) -> None:
    assert pricing.price(call(provider, model, input_tokens=1, output_tokens=1), NOW) is None


@pytest.mark.parametrize("usage", [{}, {"output_tokens": 5}, {"input_tokens": 5}])
def test_what_is_unknown_has_no_price(usage: dict[str, int]) -> None:
    assert pricing.price(call("openai", "gpt-4o", **usage), NOW) is None


def test_a_model_that_is_sold_by_the_hour_is_not_free_by_the_token() -> None:
    assert pricing.price(call("groq", "whisper-large-v3", input_tokens=100, output_tokens=100), NOW) is None


def test_usage_that_contradicts_itself_has_no_price() -> None:
    inference = call("openai", "gpt-4o", input_tokens=1, output_tokens=1, cache_read_input_tokens=100)
    assert pricing.price(inference, NOW) is None


def test_every_provider_that_is_mapped_is_in_the_list() -> None:
    assert set(pricing.PROVIDERS.values()) <= set(pricing._providers())


def test_names_from_clients_are_not_kept_for_ever() -> None:
    for number in range(10):
        pricing.price(call("openai", f"gpt-4o-mini-{number}", input_tokens=1, output_tokens=1), NOW)
    assert pricing._find.cache_info().maxsize
    assert not genai_prices.data_snapshot.get_snapshot()._provider_cache


def test_pricing_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("pricing opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    pricing._find.cache_clear()
    pricing._providers.cache_clear()
    assert cost(call("anthropic", "claude-sonnet-4-5", input_tokens=1000, output_tokens=1000)) > 0


def test_threads_agree() -> None:
    pricing._find.cache_clear()
    inference = call("openrouter", "openai/gpt-4o-mini", input_tokens=1000, output_tokens=1000)
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: pricing.price(inference, NOW), range(64)))) == 1


def theirs(usage: genai_prices.Usage, inference: Inference) -> Decimal:
    """What genai-prices itself says of a call."""
    name = inference.provider_name or ""
    provider = pricing.PROVIDERS.get(name, name)
    for model in filter(None, (inference.response_model, inference.request_model)):
        with contextlib.suppress(LookupError):
            return genai_prices.calc_price(usage, model, provider_id=provider, genai_request_timestamp=NOW).total_price
    raise AssertionError(f"genai-prices does not know {inference}")


def test_recorded_calls_cost_what_the_list_calculates() -> None:
    priced = 0
    for recording in recordings.load():
        inference = extract.extract(decode.decode(recording.report, max_body_bytes=2**26)).inference
        found = pricing.price(inference, NOW)
        if found is None:
            continue
        priced += 1
        own = genai_prices.Usage(
            input_tokens=inference.usage.input_tokens,
            output_tokens=inference.usage.output_tokens,
            cache_read_tokens=inference.usage.cache_read_input_tokens,
            cache_write_tokens=inference.usage.cache_write_input_tokens,
            output_reasoning_tokens=inference.usage.reasoning_output_tokens,
            input_audio_tokens=inference.usage.input_audio_tokens,
            output_audio_tokens=inference.usage.output_audio_tokens,
        )
        assert found.amount == theirs(own, inference)
    assert priced > 400


def test_the_short_way_says_what_the_price_list_itself_works_out_for_every_model_that_it_has() -> None:
    chance = random.Random(1)  # noqa: S311
    taken = 0
    for provider in pricing._providers().values():
        for model in provider.models:
            input_tokens, output_tokens = chance.randrange(300_000), chance.randrange(20_000)
            cached = chance.choice([0, chance.randrange(input_tokens + 1)])
            usage = Usage(
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cache_read_input_tokens=cached,
                cache_write_input_tokens=chance.choice([None, 0, chance.randrange(input_tokens - cached + 1)]),
                reasoning_output_tokens=chance.choice([None, chance.randrange(output_tokens + 1)]),
            )
            amount = pricing._by_rates(usage, pricing._linear(provider, model, model.get_prices(NOW), NOW))
            if amount is not None:
                taken += 1
                worked_out = model.calc_price(pricing._usage(usage), provider, genai_request_timestamp=NOW)
                assert amount == worked_out.total_price, model.id
    assert taken > 1000
