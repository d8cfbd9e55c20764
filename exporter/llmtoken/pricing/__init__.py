"""What a call cost: by the own prices of the configuration, else by the public price list.

    price(inference, started_at, duration=…, own=settings.prices) -> Price | None

`quantities` says what was used, `own` and `price_list` what that costs. A call whose price
nobody knows has none: unknown usage, an unknown provider or model, a side without a rate.
Must not know where prices are stored or shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from llmtoken.call import Call
from llmtoken.inference import COUNTS, Inference, Usage
from llmtoken.pricing import own as own_prices
from llmtoken.pricing import price_list, quantities
from llmtoken.pricing.price import Price
from llmtoken.rates import OwnPrice

__all__ = ["Offer", "Price", "offers", "price", "price_of_call", "price_or_reason", "reason_of_call"]


def price(
    inference: Inference, started_at: datetime, *, duration: float | None = None, own: Sequence[OwnPrice] = ()
) -> Price | None:
    """The price of a call that began at `started_at` (aware) and took `duration` seconds. Never raises.

    `None` when it has none. The first of the `own` prices that fits decides, and then the list is not asked.
    """
    found = price_or_reason(inference, started_at, duration=duration, own=own)
    return found if isinstance(found, Price) else None


def price_or_reason(
    inference: Inference, started_at: datetime, *, duration: float | None = None, own: Sequence[OwnPrice] = ()
) -> Price | str:
    """As `price`, with the reason in words when there is none."""
    ours = own_prices.find(inference, started_at, own) if own else None
    if ours is not None:
        return own_prices.price(inference, ours, duration)
    if not quantities.anything(inference):
        return "the tokens aren't known"
    return price_list.price(inference, started_at)


def price_of_call(call: Call, own: Sequence[OwnPrice] = ()) -> Price | None:
    """The price of a call on record: it depends on nothing that isn't there."""
    found = reason_of_call(call, own)
    return found if isinstance(found, Price) else None


def reason_of_call(call: Call, own: Sequence[OwnPrice] = ()) -> Price | str:
    """As `price_of_call`, with the reason in words when there is none."""
    inference = Inference(
        operation_name=call.operation_name,
        provider_name=call.provider_name,
        request_model=call.request_model,
        response_model=call.response_model,
        error_type=call.error_type,
        fetched=call.method == "GET" or (call.path or "").endswith("/cancel"),
        usage=Usage(**{name: getattr(call, name) for name in COUNTS}),
        details=call.details,
    )
    return price_or_reason(inference, call.started_at, duration=call.duration, own=own)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a provider's model costs: `gen_ai.provider.name`, the price's version, the rates by name."""

    provider: str
    version: str
    rates: tuple[tuple[str, object], ...]


def offers(model: str, at: datetime, *, provider: str | None = None, own: Sequence[OwnPrice] = ()) -> list[Offer]:
    """The price of a plain call to a model at a time: with this provider, or with each that is known."""
    asked = [provider] if provider is not None else ["self_hosted", *price_list.names()]
    found: dict[str, Offer] = {}
    for name in asked:
        inference = Inference(provider_name=name, request_model=model)
        if ours := own_prices.find(inference, at, own):
            found[name] = Offer(name, ours.version, tuple(ours.rates()))
        elif entry := price_list.find(inference, at):
            found[name] = Offer(name, entry.version, tuple(vars(entry.rates).items()))
    return list(found.values())
