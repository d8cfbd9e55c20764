"""Own prices applied: which of them a call gets, and what it costs by that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import translate
from functools import lru_cache

from llmtoken.inference import Inference, Usage
from llmtoken.pricing import quantities
from llmtoken.pricing.price import Price
from llmtoken.rates import OwnPrice
from llmtoken.totals import EXACT

_MILLION = Decimal(1_000_000)


def find(inference: Inference, started_at: datetime, prices: Sequence[OwnPrice]) -> OwnPrice | None:
    """The first that fits the provider, one of the model's names and the day."""
    day = started_at.astimezone(UTC).date()
    models = [model for model in (inference.response_model, inference.request_model) if model]
    for price in prices:
        if (
            (price.since is None or price.since <= day)
            and _fits(price.provider, inference.provider_name or "")
            and any(_fits(price.model, model) for model in models)
        ):
            return price
    return None


def price(inference: Inference, own: OwnPrice, duration: float | None) -> Price | str:
    """What a call costs by this price, exact, or the reason in words why that isn't known."""
    amount = Decimal(0)
    generated = quantities.generated(inference)
    if own.by_tokens:
        of_tokens = _of_tokens(inference, own)
        if isinstance(of_tokens, str):
            return of_tokens
        amount = of_tokens
    elif not generated:
        return "it generated nothing"
    if generated and own.per_call is not None:
        amount = EXACT.add(amount, own.per_call)
    if generated and own.per_second is not None:
        if duration is None:
            return "its duration isn't known"
        amount = EXACT.add(amount, EXACT.multiply(own.per_second, Decimal(f"{duration:.9f}")))
    return Price(amount, own.version)


def _of_tokens(inference: Inference, own: OwnPrice) -> Decimal | str:
    usage = inference.usage
    if usage.input_tokens is None or (usage.output_tokens is None and inference.operation_name != "embeddings"):
        return "the tokens aren't known"
    if usage.output_tokens and own.output_per_million is None:
        return f"the price of {own.model} has no output_per_million"
    total = Decimal(0)
    for count, rate in _counts(usage, own):
        if count < 0:
            return "the parts of its tokens are more than their whole"
        total = EXACT.add(total, EXACT.multiply(Decimal(count), rate or Decimal(0)))
    return EXACT.divide(total, _MILLION)


def _counts(usage: Usage, own: OwnPrice) -> Sequence[tuple[int, Decimal | None]]:
    """Tokens with their rate; a part without a rate of its own costs what its whole costs, so it stays in that."""
    plain_input, plain_output = usage.input_tokens or 0, usage.output_tokens or 0
    parts: list[tuple[int, Decimal | None]] = []
    for count, rate in (
        (usage.cache_read_input_tokens, own.cache_read_per_million),
        (usage.cache_write_input_tokens, own.cache_write_per_million),
        (usage.input_audio_tokens, own.input_audio_per_million),
    ):
        if count and rate is not None:
            parts.append((count, rate))
            plain_input -= count
    for count, rate in (
        (usage.reasoning_output_tokens, own.reasoning_per_million),
        (usage.output_audio_tokens, own.output_audio_per_million),
    ):
        if count and rate is not None:
            parts.append((count, rate))
            plain_output -= count
    return [*parts, (plain_input, own.input_per_million), (plain_output, own.output_per_million)]


def _fits(pattern: str, name: str) -> bool:
    return pattern == "*" or _compiled(pattern).match(name.lower()) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Patterns come from the configuration, so they are few."""
    return re.compile(translate(pattern.lower()))
