"""Costs come from the bundled price list, each kind of token at its own rate, or not at all."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

import genai_prices
import pytest

from llmtoken import decode, extract, pricing
from llmtoken.exchange import Exchange
from llmtoken.inference import Inference, Usage
from llmtoken.pricing import price_list, quantities
from llmtoken.report import Report
from support import recordings

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MILLION = 1_000_000


COUNTS = set(Usage.__struct_fields__)


def call(provider: str | None, model: str | None, *, operation: str = "chat", **used: Any) -> Inference:
    """A call that used so much: tokens by the names of `Usage`, everything else is a detail."""
    return Inference(
        operation_name=operation,
        provider_name=provider,
        request_model=model,
        usage=Usage(**{name: used[name] for name in COUNTS & used.keys()}, source="reported"),
        details={name: value for name, value in used.items() if name not in COUNTS},
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


def test_tokens_that_are_billed_do_not_make_a_model_free_that_is_sold_by_the_hour() -> None:
    assert (
        pricing.price(call("groq", "whisper-large-v3", input_tokens=9, output_tokens=9, billed_input_tokens=9), NOW)
        is None
    )


def test_usage_that_contradicts_itself_has_no_price() -> None:
    inference = call("openai", "gpt-4o", input_tokens=1, output_tokens=1, cache_read_input_tokens=100)
    assert pricing.price(inference, NOW) is None


def test_every_provider_that_is_mapped_is_in_the_list() -> None:
    assert set(price_list.PROVIDERS.values()) <= set(price_list._providers())


def test_names_from_clients_are_not_kept_for_ever() -> None:
    for number in range(10):
        pricing.price(call("openai", f"gpt-4o-mini-{number}", input_tokens=1, output_tokens=1), NOW)
    assert price_list._find.cache_info().maxsize
    assert not genai_prices.data_snapshot.get_snapshot()._provider_cache


def test_pricing_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("pricing opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    price_list._find.cache_clear()
    price_list._providers.cache_clear()
    assert cost(call("anthropic", "claude-sonnet-4-5", input_tokens=1000, output_tokens=1000)) > 0


def test_threads_agree() -> None:
    price_list._find.cache_clear()
    inference = call("openrouter", "openai/gpt-4o-mini", input_tokens=1000, output_tokens=1000)
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: pricing.price(inference, NOW), range(64)))) == 1


# ── Terms and pieces ────────────────────────────────────────────────────────────────────


def test_a_batch_costs_half() -> None:
    usage = {"input_tokens": MILLION, "output_tokens": 0}
    plain, batch = call("openai", "gpt-4o-mini", **usage), call("openai", "gpt-4o-mini", **usage, service_tier="batch")
    assert cost(batch) * 2 == cost(plain)


def test_the_service_tier_that_served_the_call_has_its_own_rate_and_is_named_in_the_version() -> None:
    usage = {"input_tokens": MILLION, "output_tokens": 0}
    plain = call("openai", "gpt-5.1", **usage, service_tier="default")
    priority = call("openai", "gpt-5.1", **usage, service_tier="priority")
    assert cost(priority) > cost(plain) == cost(call("openai", "gpt-5.1", **usage))
    found = pricing.price(priority, NOW)
    assert found
    assert found.version.endswith(" priority")


def test_a_cache_that_lives_an_hour_costs_more_to_write() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 0, "cache_write_input_tokens": 1000}
    short = call("anthropic", "claude-sonnet-4-5", **usage, cache_write_5m_input_tokens=1000)
    long = call("anthropic", "claude-sonnet-4-5", **usage, cache_write_1h_input_tokens=1000)
    assert cost(short) == Decimal("0.00375")
    assert cost(long) == Decimal("0.006")


def test_searches_at_the_provider_are_paid_by_the_piece() -> None:
    usage = {"input_tokens": 0, "output_tokens": 0}
    assert cost(call("anthropic", "claude-sonnet-4-5", **usage, web_search_calls=3)) == Decimal("0.03")


def test_cohere_bills_fewer_tokens_than_the_model_saw() -> None:
    seen = call("cohere", "command", input_tokens=69, output_tokens=101)
    billed = call(
        "cohere", "command", input_tokens=69, output_tokens=101, billed_input_tokens=7, billed_output_tokens=100
    )
    assert cost(billed) == 7 * Decimal("0.000001") + 100 * Decimal("0.000002") < cost(seen)


def test_a_transcription_is_paid_by_the_hour_where_its_seconds_are_known() -> None:
    assert cost(call("groq", "whisper-large-v3", operation="transcription", audio_seconds=3600)) == Decimal("0.111")


def test_pages_that_were_read_are_paid_by_the_thousand() -> None:
    assert cost(call("mistral_ai", "mistral-ocr-2503", operation="ocr", pages=2)) == Decimal("0.002")


def test_batches_are_read_as_batches() -> None:
    line = {
        "result": {
            "type": "succeeded",
            "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 1000, "output_tokens": 0}},
        }
    }
    report = Report(
        request_body="",
        response_body=json.dumps(line),
        elapsed_time=1.0,
        method="GET",
        host="api.anthropic.com",
        path="/v1/messages/batches/msgbatch_1/results",
        status=200,
        response_headers={"content-type": "application/x-jsonl"},
    )
    inference = extract.extract(decode.decode(report, max_body_bytes=2**20)).inference
    assert cost(inference) == Decimal("0.0015")


# ── Against the list's own calculation ──────────────────────────────────────────────────


def theirs(inference: Inference) -> Decimal:
    """What genai-prices itself says of a call, everything that is known of it said."""
    provider = price_list.PROVIDERS.get(inference.provider_name or "", inference.provider_name)
    usage, terms = quantities.usage(inference), dict(quantities.terms(inference.details))
    for model in filter(None, (inference.response_model, inference.request_model)):
        with contextlib.suppress(LookupError):
            found = genai_prices.calc_price(
                usage, model, provider_id=provider, genai_request_timestamp=NOW, price_context=terms
            )
            return found.total_price
    raise AssertionError(f"genai-prices does not know {inference}")


def recorded() -> Iterator[tuple[Exchange, Inference]]:
    for recording in recordings.load():
        exchange = decode.decode(recording.report, max_body_bytes=2**26)
        yield exchange, extract.extract(exchange).inference


def test_recorded_calls_cost_what_the_list_calculates_to_the_last_digit() -> None:
    priced = 0
    for _, inference in recorded():
        found = pricing.price(inference, NOW)
        if found is not None:
            priced += 1
            assert found.amount == theirs(inference)
    assert priced > 460


def test_recorded_replies_cost_what_the_list_makes_of_them_by_its_own_reading() -> None:
    """Where the reply is one JSON object genai-prices can read the usage itself, by one of its extractors."""
    same, other = 0, 0
    for exchange, inference in recorded():
        found = pricing.price(inference, NOW)
        entry = price_list.find(inference, NOW)
        if found is None or entry is None or exchange.response.framing != "json":
            continue
        amounts = set(read_by_them(entry, exchange.response.json, inference))
        same += found.amount in amounts
        other += bool(amounts) and found.amount not in amounts
    # The others: usage that their extractors don't read (Cohere's output, xAI on Azure, searches, images).
    assert same > 260
    assert other <= 15


def read_by_them(entry: price_list.Entry, body: Any, inference: Inference) -> Iterator[Decimal]:
    terms = dict(quantities.terms(inference.details))
    for extractor in entry.provider.extractors or ():
        with contextlib.suppress(ValueError, AttributeError):  # the latter for a word that is a number
            _, usage = extractor.extract(body)
            yield entry.model.calc_price(
                usage, entry.provider, genai_request_timestamp=NOW, price_context=terms
            ).total_price


def test_the_short_way_says_what_the_price_list_itself_works_out_for_every_model_that_it_has() -> None:
    chance = random.Random(1)  # noqa: S311
    taken = 0
    for provider in price_list._providers().values():
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
            tier = chance.choice(["default", "flex", "priority"])
            inference = Inference(usage=usage, details={"service_tier": tier})
            variants = [
                each
                for each in price_list._under((("service_tier", tier),), model.price_variants or ())
                if each.constraint is None or each.constraint.active(NOW)
            ]
            entry = price_list._entry(provider, model, model.get_prices(NOW), variants)
            amount = price_list._by_rates(inference, entry)
            if amount is not None:
                taken += 1
                assert amount == price_list._worked_out(inference, entry, NOW), model.id
    assert taken > 1000
