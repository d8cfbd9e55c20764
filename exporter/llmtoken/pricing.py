"""What a call cost, by the public price lists that the package genai-prices carries.

    price(inference, started_at) -> Price | None

Owns the mapping from our providers' names to the price list's, and the rule when a call has
no price: an unknown provider or model, unknown usage, or a model that isn't priced by the
token. Must not know where prices are stored or shown.

The list comes with the package and is never fetched. genai-prices can update itself in the
background, but only where somebody starts that; we don't. Its own look-ups keep every name
they ever saw, and names come from clients, so ours is bounded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache

import genai_prices
from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices

from llmtoken.inference import Inference, Usage

log = logging.getLogger(__name__)

PROVIDERS = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "voyage_ai": "voyageai",
    "x_ai": "x-ai",
    "z_ai": "zai",
}
"""`gen_ai.provider.name` to the price list's identifier, where they differ."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one call cost, in US dollars, and which price of which list said so."""

    amount: Decimal
    version: str
    """`genai-prices/0.2.3 openai/gpt-4o-mini`, with `@2025-12-31` where the price began on a known day."""


def price(inference: Inference, started_at: datetime) -> Price | None:
    """The price of a call that began at `started_at` (aware), or `None` when it has none. Never raises.

    Cached input, reasoning and audio have their own rates where the list knows them. Which
    service tier or cache lifetime was bought isn't known here: the list's standard applies.
    """
    found = price_or_reason(inference, started_at)
    return found if isinstance(found, Price) else None


def price_or_reason(inference: Inference, started_at: datetime) -> Price | str:
    """As `price`, with the reason in words when there is none."""
    usage = inference.usage
    if usage.input_tokens is None or (usage.output_tokens is None and inference.operation_name != "embeddings"):
        return "the tokens aren't known"
    found = _find(inference.provider_name, inference.response_model, inference.request_model)
    if found is None:
        return "the price list doesn't know this provider and model"
    provider, model = found
    rates = model.get_prices(started_at)
    if not _priced_by_token(rates, usage):
        return f"{provider.id}/{model.id} isn't priced by the token"
    try:
        amount = _by_rates(usage, _linear(provider, model, rates, started_at))
        if amount is None:
            amount = model.calc_price(_usage(usage), provider, genai_request_timestamp=started_at).total_price
    except (ValueError, ArithmeticError) as error:
        log.warning("No price for %s/%s: %s", provider.id, model.id, error)
        return f"{provider.id}/{model.id} has no price for this: {error}"
    return Price(amount, _version(provider, model, rates))


@lru_cache(maxsize=4096)
def _find(provider_name: str | None, *models: str | None) -> tuple[Provider, ModelInfo] | None:
    """The price list's provider and model; the first of our model names that it knows counts."""
    provider = _providers().get(PROVIDERS.get(provider_name or "", provider_name or ""))
    if provider is None:
        return None
    everyone = list(_providers().values())
    found = (provider.find_model(model, all_providers=everyone) for model in models if model)
    model = next(filter(None, found), None)
    return (provider, model) if model else None


@cache
def _providers() -> dict[str, Provider]:
    """The bundled list by identifier; reading it takes half a second, once."""
    return {provider.id: provider for provider in data_snapshot.get_snapshot().providers}


# ── The short way ───────────────────────────────────────────────────────────────────────
#
# genai-prices works a price out from its definitions each time, which takes longer than to read the
# call. Without tiers a price is a sum of rates times tokens, so we ask for the rates once and multiply.


@dataclass(frozen=True, slots=True)
class _Linear:
    """US dollars a token; those of parts come on top of what their whole costs."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    reasoning: Decimal


_known_rates: dict[int, tuple[ModelPrice, _Linear | None]] = {}
"""By the identity of rates of the bundled list, which are as many as there are and stay for good."""


def _linear(provider: Provider, model: ModelInfo, rates: ModelPrice, started_at: datetime) -> _Linear | None:
    """The rates of a token, as genai-prices applies them; `None` when there are others too, or tiers."""
    known = _known_rates.get(id(rates))
    if known is None:
        known = _known_rates[id(rates)] = rates, _ask_for_rates(provider, model, rates, started_at)
    return known[1]


def _ask_for_rates(provider: Provider, model: ModelInfo, rates: ModelPrice, started_at: datetime) -> _Linear | None:
    def cost(**tokens: int) -> Decimal:
        usage = genai_prices.Usage(**{"input_tokens": 0, "output_tokens": 0} | tokens)
        return model.calc_price(usage, provider, genai_request_timestamp=started_at).total_price

    if any(isinstance(rate, TieredPrices) for rate in vars(rates).values()):
        return None
    try:
        if cost() != 0:
            return None  # something costs money whatever the tokens are
        input_, output = cost(input_tokens=1), cost(output_tokens=1)
        return _Linear(
            input_,
            output,
            cost(input_tokens=1, cache_read_tokens=1) - input_,
            cost(input_tokens=1, cache_write_tokens=1) - input_,
            cost(output_tokens=1, output_reasoning_tokens=1) - output,
        )
    except (ValueError, ArithmeticError):
        return None


def _by_rates(usage: Usage, rates: _Linear | None) -> Decimal | None:
    """The price by these rates; `None` where they don't say it: audio, or parts that are more than their whole."""
    input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
    reasoning = usage.reasoning_output_tokens or 0
    if (
        rates is None
        or usage.input_audio_tokens
        or usage.output_audio_tokens
        or cached + written > input_tokens
        or reasoning > output_tokens
        or min(cached, written, reasoning) < 0
    ):
        return None
    amount = rates.input * input_tokens + rates.output * output_tokens
    if cached or written or reasoning:
        amount += rates.cache_read * cached + rates.cache_write * written + rates.reasoning * reasoning
    return amount


def _priced_by_token(rates: ModelPrice, usage: Usage) -> bool:
    """Whether each side that was used has a rate; models priced by the hour or page would look free."""
    return not (usage.input_tokens and rates.input_mtok is None) and not (
        usage.output_tokens and rates.output_mtok is None
    )


def _usage(usage: Usage) -> genai_prices.Usage:
    return genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_write_input_tokens,
        output_reasoning_tokens=usage.reasoning_output_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
    )


def _version(provider: Provider, model: ModelInfo, rates: ModelPrice) -> str:
    version = f"genai-prices/{genai_prices.__version__} {provider.id}/{model.id}"
    if isinstance(model.prices, list):
        for one in model.prices:
            if one.prices is rates and isinstance(one.constraint, StartDateConstraint):
                return f"{version}@{one.constraint.start_date}"
    return version
