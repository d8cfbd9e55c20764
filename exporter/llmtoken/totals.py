"""What the counters stand at: sums of committed calls, one for each set of labels.

Owns which labels a call is counted under, what is summed, and that money is summed exactly.
The audit keeps these sums beside the calls and the metrics show them, so neither has
numbers of its own. Must not know how they are stored or shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Context, Decimal
from functools import reduce
from operator import attrgetter
from typing import NamedTuple

from llmtoken.call import Call


class Labels(NamedTuple):
    """A set of labels; an empty text and `None` mean unknown. Every counter uses some of them."""

    operation_name: str = ""
    provider_name: str = ""
    request_model: str = ""
    response_model: str = ""
    stream: bool = False
    http_status: int | None = None
    error_type: str = ""
    aborted: str = ""
    usage_source: str = ""
    consumer: str = ""


Labeller = Callable[[Call], Labels]
"""Says under which labels a call is counted; names that clients choose may be bounded there.

Calls whose fields are alike that `Labels` has are counted under the same ones.
"""


class Sums(NamedTuple):
    """What calls with the same labels add up to; `None` where none of them said anything."""

    calls: int = 0
    unpriced_calls: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    cost: Decimal | None = None


NOTHING = Sums()

EXACT = Context(prec=100)
"""What money is added with: costs may have 30 decimals, and Python's usual 28 digits would round their sums."""


def labels(call: Call) -> Labels:
    """The labels as the call has them, unbounded."""
    return Labels(
        call.operation_name or "",
        call.provider_name or "",
        call.request_model or "",
        call.response_model or "",
        call.stream,
        call.http_status,
        call.error_type or "",
        call.aborted or "",
        call.usage_source,
        call.consumer or "",
    )


def total(calls: Sequence[Call]) -> Sums:
    """What calls add up to, at least one. Tokens without a price are what makes a call unpriced."""
    *tokens, costs = zip(*map(_summed_of, calls), strict=True)
    unpriced = 0
    if None in costs:
        unpriced = sum(call.cost is None and bool(call.input_tokens or call.output_tokens) for call in calls)
    return Sums._make((len(calls), unpriced, *known_sums(tokens), reduce(plus_cost, costs)))


_summed_of = attrgetter(*Sums._fields[2:])


def known_sums(columns: Iterable[Sequence[int | None]]) -> list[int | None]:
    """Of each column the sum of what is known; `None` where nothing is."""
    return [column[0] if len(column) == 1 else _known_sum(column) for column in columns]


def _known_sum(values: Sequence[int | None]) -> int | None:
    unknown = values.count(None)
    if unknown == len(values):
        return None
    return sum(values if not unknown else filter(None, values))  # type: ignore[arg-type]  # zeros may go, too


def plus(one: Sums, other: Sums) -> Sums:
    """Both together."""
    return Sums(
        one.calls + other.calls,
        one.unpriced_calls + other.unpriced_calls,
        _plus(one.input_tokens, other.input_tokens),
        _plus(one.output_tokens, other.output_tokens),
        _plus(one.cache_read_input_tokens, other.cache_read_input_tokens),
        _plus(one.cache_write_input_tokens, other.cache_write_input_tokens),
        _plus(one.reasoning_output_tokens, other.reasoning_output_tokens),
        plus_cost(one.cost, other.cost),
    )


def plus_cost(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """The sum to the last digit; unknown adds nothing."""
    if one is None or other is None:
        return other if one is None else one
    return EXACT.add(one, other)


def difference(old: Decimal | None, new: Decimal | None) -> Decimal:
    """How much more the new one is, to the last digit; unknown is nothing."""
    return EXACT.subtract(new or Decimal(0), old or Decimal(0))


def _plus(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
