"""A price: the amount, and who said so."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Price(msgspec.Struct, frozen=True):
    """What one call cost, in US dollars, and which price of which list said so."""

    amount: Decimal
    version: str
    """`genai-prices/0.2.3 openai/gpt-4o-mini` or `own qwen* 5f3a9c21`, with `@2025-12-31` where it began on a day."""
