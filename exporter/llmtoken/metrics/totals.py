"""The counters of calls, read from the totals whenever somebody looks.

A total is kept for every set of labels; a counter shows fewer labels, so several totals may
add up to one of its series. Read and not added to, because a counter must never go
backwards: costs that are added up as floats, and again after a restart, differ in the last digit.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from operator import itemgetter

from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, NumberDataPoint, Sum

from llmtoken.metrics import instruments
from llmtoken.metrics.beside import Series, Values, attributes
from llmtoken.metrics.instruments import Instrument
from llmtoken.totals import EXACT, Labels, Sums

TOTALS = {
    instruments.INPUT_TOKENS: "input_tokens",
    instruments.OUTPUT_TOKENS: "output_tokens",
    instruments.CACHE_READ_TOKENS: "cache_read_input_tokens",
    instruments.CACHE_WRITE_TOKENS: "cache_write_input_tokens",
    instruments.REASONING_TOKENS: "reasoning_output_tokens",
    instruments.REQUESTS: "calls",
    instruments.COST: "cost",
    instruments.UNPRICED: "unpriced_calls",
}
"""The counters, and which of the sums each shows."""

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
_NAMES = {attribute: name for name, attribute in _ATTRIBUTES.items()}


class Counter:
    """What one counter's series stand at, at most `limit`; what exceeds that is added up in one more."""

    def __init__(
        self,
        instrument: Instrument,
        shows: str,
        counters: Callable[[], Mapping[Labels, Sums]],
        *,
        began: datetime,
        limit: int,
    ) -> None:
        self.instrument, self.began = instrument, int(began.timestamp() * 1e9)
        self._counters, self._limit = counters, limit
        self._labels_of = itemgetter(*(Labels._fields.index(_NAMES[each]) for each in instrument.attributes))
        self._value_of = itemgetter(Sums._fields.index(shows))
        # With the other context a cost would be rounded, and might go down.
        self._add = EXACT.add if shows == "cost" else operator.add
        self._shows_zero = shows not in ("calls", "unpriced_calls")

    def series(self) -> Series:
        """What each series stands at; none where no call said anything."""
        sums: dict[Values | None, int | Decimal] = {}
        # The list is one step for the interpreter, so the writer may go on meanwhile.
        for labels, each in list(self._counters().items()):
            value = self._value_of(each)
            if value is None or not (value or self._shows_zero):
                continue
            key: Values | None = self._labels_of(labels)
            if key not in sums and len(sums) >= self._limit:
                key = None
            sums[key] = self._add(sums.get(key, 0), value)
        return {key: (value,) for key, value in sums.items()}

    def metric(self, series: Series, *, since: int, now: int, temporality: AggregationTemporality) -> Metric:
        """These series as the SDK says it."""
        points = [
            NumberDataPoint(
                attributes=attributes(self.instrument, labels),
                start_time_unix_nano=since,
                time_unix_nano=now,
                value=float(value) if isinstance(value, Decimal) else value,
            )
            for labels, (value,) in series.items()
        ]
        data = Sum(points, temporality, is_monotonic=True)
        return Metric(self.instrument.name, self.instrument.description, self.instrument.unit, data)
