"""Prices from the public list that the package genai-prices carries.

Owns the mapping from our providers' names to the list's, and the rule when a call has no
price. The list comes with the package and is never fetched. genai-prices can update itself in the
background, but only where somebody starts that; we don't. Its own look-ups keep every name
they ever saw, and names come from clients, so ours is bounded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache

import genai_prices
from genai_prices import data_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Provider, StartDateConstraint, TieredPrices

from llmtoken.inference import Inference
from llmtoken.pricing import quantities
from llmtoken.pricing.price import Price

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
class Entry:
    """What the list says for a model at a time and under the terms of a call."""

    provider: Provider
    model: ModelInfo
    rates: ModelPrice
    version: str
    units: frozenset[str]
    """All that has a rate."""
    pieces: frozenset[str]
    """The details that are sold by themselves."""
    apart: frozenset[str]
    """All details that change the price: they have a rate of their own, or are what is billed."""
    linear: _Linear | None


@dataclass(frozen=True, slots=True)
class _Linear:
    """US dollars a call and a token; those of parts come on top of what their whole costs."""

    call: Decimal
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    reasoning: Decimal


def price(inference: Inference, started_at: datetime) -> Price | str:
    """The price of a call, or the reason in words why it has none."""
    entry = find(inference, started_at)
    if entry is None:
        return "the price list doesn't know this provider and model"
    if reason := _not_sold(entry, inference):
        return reason
    try:
        amount = _by_rates(inference, entry)
        if amount is None:
            amount = _worked_out(inference, entry, started_at)
    except (ValueError, ArithmeticError) as error:
        log.warning("No price for %s/%s: %s", entry.provider.id, entry.model.id, error)
        return f"{entry.provider.id}/{entry.model.id} has no price for this: {error}"
    return Price(amount, entry.version)


def names() -> list[str]:
    """All providers that are in the list, by our names."""
    return sorted({*PROVIDERS, *(_providers().keys() - PROVIDERS.values())})


def find(inference: Inference, started_at: datetime) -> Entry | None:
    """What the list says for the model that answered, or else the one that was asked for."""
    details = inference.details
    terms = quantities.terms(details) if details else ()
    found = _find(inference.provider_name, terms, inference.response_model, inference.request_model)
    if found is None:
        return None
    provider, model, variants = found
    applying = variants and [each for each in variants if each.constraint is None or each.constraint.active(started_at)]
    return _entry(provider, model, model.get_prices(started_at), applying)


_Variants = Sequence[PriceVariant]


@lru_cache(maxsize=4096)
def _find(
    provider_name: str | None, terms: quantities.Terms, *models: str | None
) -> tuple[Provider, ModelInfo, _Variants] | None:
    """The price list's provider and model; the first of our model names that it knows counts.

    With them what differs from the standard price under these terms: a batch, another service tier, a
    faster mode. Only of a model that is the provider's own, because another one's terms aren't these.
    """
    provider = _providers().get(PROVIDERS.get(provider_name or "", provider_name or ""))
    if provider is None:
        return None
    everyone = list(_providers().values())
    found = (provider.find_model(model, all_providers=everyone) for model in models if model)
    model = next(filter(None, found), None)
    if model is None:
        return None
    if not terms or not any(each is model for each in provider.models):
        return provider, model, ()
    return provider, model, _under(terms, model.price_variants or ())


def _under(terms: quantities.Terms, variants: _Variants) -> _Variants:
    return [variant for variant in variants if variant.when.items() <= dict(terms).items()]


@cache
def _providers() -> dict[str, Provider]:
    """The bundled list by identifier; reading it takes half a second, once."""
    return {provider.id: provider for provider in data_snapshot.get_snapshot().providers}


_known_entries: dict[tuple[int, ...], Entry] = {}
"""By the identity of what the bundled list has, which is as much as there is and stays for good."""


def _entry(provider: Provider, model: ModelInfo, standard: ModelPrice, variants: _Variants) -> Entry:
    key = (id(provider), id(standard), *map(id, variants)) if variants else (id(provider), id(standard))
    known = _known_entries.get(key)
    if known is None:
        rates = ModelPrice(**_said(standard))
        for variant in reversed(variants):  # the first one decides
            rates = ModelPrice(**{**_said(rates), **_said(variant.prices)})
        units = frozenset(unit for unit, means in unit_data.items() if means["price_key"] in _said(rates))
        priced = frozenset(name for name, counted in quantities.UNITS.items() if not units.isdisjoint(counted))
        known = _known_entries[key] = Entry(
            provider=provider,
            model=model,
            rates=rates,
            version=_version(provider, model, standard, variants),
            units=units,
            pieces=priced & quantities.PIECES.keys(),
            apart=priced | quantities.BILLED,
            linear=_ask_for_rates(rates),
        )
    return known


def _said(rates: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {name: rate for name, rate in vars(rates).items() if rate is not None}


def _version(provider: Provider, model: ModelInfo, standard: ModelPrice, variants: _Variants) -> str:
    """The package's version, the list's model, the day that this price began, the terms that changed it."""
    began = [variant.constraint for variant in variants]
    if isinstance(model.prices, list):
        began += [one.constraint for one in model.prices if one.prices is standard]
    days = [constraint.start_date for constraint in began if isinstance(constraint, StartDateConstraint)]
    terms = sorted({value for variant in variants if _said(variant.prices) for value in variant.when.values()})
    day = f"@{max(days)}" if days else ""
    return " ".join([f"genai-prices/{genai_prices.__version__} {provider.id}/{model.id}{day}", *terms])


def _not_sold(entry: Entry, inference: Inference) -> str | None:
    """Why the list's rates say nothing about this call: a side without a rate would look free."""
    units = entry.units
    if "input_tokens" not in units and not entry.pieces.isdisjoint(inference.details):
        return None  # sold by the piece, and it is known how many there were
    usage = inference.usage
    if usage.input_tokens is None or (usage.output_tokens is None and inference.operation_name != "embeddings"):
        return "the tokens aren't known"
    if (usage.input_tokens and "input_tokens" not in units) or (usage.output_tokens and "output_tokens" not in units):
        return f"{entry.provider.id}/{entry.model.id} isn't priced by the token"
    return None


def _worked_out(inference: Inference, entry: Entry, started_at: datetime) -> Decimal:
    """The long way: everything that was used, worked out by genai-prices itself."""
    calculation = entry.model.calc_price(
        quantities.usage(inference),
        entry.provider,
        genai_request_timestamp=started_at,
        price_context=dict(quantities.terms(inference.details)),
    )
    return calculation.total_price


# ── The short way ───────────────────────────────────────────────────────────────────────
#
# genai-prices works a price out from its definitions each time, which takes longer than to read the
# call. Without tiers a price is a sum of rates times tokens, so we ask for the rates once and multiply.


def _ask_for_rates(rates: ModelPrice) -> _Linear | None:
    """The rates of a token, as genai-prices applies them; `None` when there are tiers."""

    def cost(**tokens: int) -> Decimal:
        return rates.calc_price(genai_prices.Usage(**{"input_tokens": 0, "output_tokens": 0} | tokens))["total_price"]

    if any(isinstance(rate, TieredPrices) for rate in vars(rates).values()):
        return None
    try:
        call, input_, output = cost(), cost(input_tokens=1), cost(output_tokens=1)
        return _Linear(
            call,
            input_ - call,
            output - call,
            cost(input_tokens=1, cache_read_tokens=1) - input_,
            cost(input_tokens=1, cache_write_tokens=1) - input_,
            cost(output_tokens=1, output_reasoning_tokens=1) - output,
        )
    except (ValueError, ArithmeticError):
        return None


def _by_rates(inference: Inference, entry: Entry) -> Decimal | None:
    """The price by these rates; `None` where they don't say it: audio, pieces, parts that exceed their whole."""
    usage, rates = inference.usage, entry.linear
    input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
    reasoning = usage.reasoning_output_tokens or 0
    if (
        rates is None
        or usage.input_audio_tokens
        or usage.output_audio_tokens
        or not entry.apart.isdisjoint(inference.details)
        or cached + written > input_tokens
        or reasoning > output_tokens
        or min(cached, written, reasoning) < 0
    ):
        return None
    amount = rates.call + rates.input * input_tokens + rates.output * output_tokens
    if cached or written or reasoning:
        amount += rates.cache_read * cached + rates.cache_write * written + rates.reasoning * reasoning
    return amount
