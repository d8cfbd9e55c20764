"""Own prices, as the configuration writes them: what a self-hosted or negotiated model costs.

Owns their names, their units and what is wrong with them; `llmtoken.pricing` works with
them. Must not know calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=12, allow_inf_nan=False)]

_OF_TOKENS = "_per_million"


class OwnPrice(BaseModel):
    """One price: for which calls, since when, and US dollars by the token, the second or the call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, max_length=200, description="Pattern of model names (`*`, `?`), in any case.")
    provider: str = Field("*", min_length=1, max_length=100, description="Pattern of `gen_ai_provider_name`.")
    since: date | None = Field(None, description="First day (UTC); without it the price always held.")

    input_per_million: Rate | None = None
    output_per_million: Rate | None = None
    cache_read_per_million: Rate | None = None
    cache_write_per_million: Rate | None = None
    reasoning_per_million: Rate | None = None
    input_audio_per_million: Rate | None = None
    output_audio_per_million: Rate | None = None
    per_second: Rate | None = None
    per_call: Rate | None = None

    @model_validator(mode="after")
    def _whole(self) -> OwnPrice:
        rates = dict(self.rates())
        if not rates:
            raise ValueError(f"the price of {self.model} has no rate: give input_per_million, per_second or per_call")
        for part in rates:
            whole = "output_per_million" if part.startswith(("output", "reasoning")) else "input_per_million"
            if part.endswith(_OF_TOKENS) and whole not in rates:
                raise ValueError(f"the price of {self.model} has {part} but no {whole}, which the other tokens cost")
        return self

    @cached_property
    def by_tokens(self) -> bool:
        """Whether tokens cost something of their own."""
        return any(name.endswith(_OF_TOKENS) for name, _ in self.rates())

    @cached_property
    def version(self) -> str:
        """What `price_version` says: whose price, a digest of its rates, its first day."""
        said = ",".join(f"{name}={rate.normalize():f}" for name, rate in self.rates())
        digest = hashlib.blake2s(said.encode(), digest_size=4).hexdigest()
        name = self.model if self.provider == "*" else f"{self.provider}/{self.model}"
        return f"own {name} {digest}" + (f"@{self.since}" if self.since else "")

    def rates(self) -> Iterator[tuple[str, Decimal]]:
        """The rates that are given, by name."""
        for name in type(self).model_fields:
            if (name.endswith(_OF_TOKENS) or name.startswith("per_")) and (rate := getattr(self, name)) is not None:
                yield name, rate


def refuse_hidden(prices: Sequence[OwnPrice]) -> None:
    """Raise `ValueError` for a price that can never apply: the first that fits counts, and one above always fits."""
    for place, price in enumerate(prices):
        for above in prices[:place]:
            same = (above.model.lower(), above.provider.lower()) == (price.model.lower(), price.provider.lower())
            if same and (above.since is None or (price.since is not None and above.since <= price.since)):
                since = f" since {price.since}" if price.since else ""
                raise ValueError(
                    f"the price of {price.model}{since} never applies, as the first that fits counts: "
                    f"put it above the other one of {above.model}"
                )
