"""The counters of calls, read from the totals at each scrape.

A total is kept for every set of labels; a counter shows fewer labels, so several totals may
add up to one of its series. Read and not added to, because a counter must never go
backwards: costs that are added up as floats, and again after a restart, differ in the last digit.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter

from opentelemetry.metrics import CallbackOptions, Observation

from llmtoken.metrics import instruments
from llmtoken.metrics.histograms import known
from llmtoken.metrics.instruments import Instrument
from llmtoken.totals import EXACT, Labels, Sums

_ATTRIBUTES = {
    "operation_name": instruments.OPERATION,
    "provider_name": instruments.PROVIDER,
    "request_model": instruments.REQUEST_MODEL,
    "response_model": instruments.RESPONSE_MODEL,
    "stream": instruments.STREAM,
    "http_status": instruments.STATUS_CODE,
    "error_type": instruments.ERROR_TYPE,
    "aborted": instruments.ABORTED,
    "usage_source": instruments.USAGE_SOURCE,
    "consumer": instruments.CONSUMER,
}


@dataclass(frozen=True, slots=True)
class Total:
    """A counter, and which of the sums it shows."""

    instrument: Instrument
    sum: str


TOTALS = (
    Total(instruments.INPUT_TOKENS, "input_tokens"),
    Total(instruments.OUTPUT_TOKENS, "output_tokens"),
    Total(instruments.CACHE_READ_TOKENS, "cache_read_input_tokens"),
    Total(instruments.CACHE_WRITE_TOKENS, "cache_write_input_tokens"),
    Total(instruments.REASONING_TOKENS, "reasoning_output_tokens"),
    Total(instruments.REQUESTS, "calls"),
    Total(instruments.COST, "cost"),
    Total(instruments.UNPRICED, "unpriced_calls"),
)


def observe(
    total: Total, counters: Callable[[], Mapping[Labels, Sums]], _: CallbackOptions | None = None
) -> Iterator[Observation]:
    """What each series of the counter stands at; none where no call said anything."""
    names = [name for name in Labels._fields if _ATTRIBUTES[name] in total.instrument.attributes]
    attributes = [_ATTRIBUTES[name] for name in names]
    shown = itemgetter(*map(Labels._fields.index, names))
    value_of = itemgetter(Sums._fields.index(total.sum))
    # With the other context a cost would be rounded, and might go down.
    add = EXACT.add if total.sum == "cost" else operator.add
    sums: dict[tuple[str | int | bool | None, ...], int | Decimal] = {}
    # The list is one step for the interpreter, so the writer may go on meanwhile.
    for labels, each in list(counters().items()):
        value = value_of(each)
        if value is None or (not value and total.sum in ("calls", "unpriced_calls")):
            continue
        key = shown(labels)
        sums[key] = add(sums.get(key, 0), value)
    for key, value in sums.items():
        yield Observation(float(value) if isinstance(value, Decimal) else value, known(attributes, key))
