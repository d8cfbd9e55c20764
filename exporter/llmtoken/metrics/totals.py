"""The counters of calls, read from the totals whenever somebody looks.

A total is kept for every set of labels; a counter shows fewer labels, so several totals may
add up to one of its series. Read and not added to, because a counter must never go
backwards: costs that are added up as floats, and again after a restart, differ in the last digit.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, NumberDataPoint, Sum

from llmtoken.metrics import instruments
from llmtoken.metrics.beside import Series, Values, attributes
from llmtoken.metrics.instruments import Instrument
from llmtoken.totals import EXACT, NOTHING, Labels, Sums

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

_Operation = Callable[[Any, Any], Any]


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
        money = shows == "cost"
        self._plus: _Operation = EXACT.add if money else operator.add
        self._minus: _Operation = EXACT.subtract if money else operator.sub
        self._shows_zero = shows not in ("calls", "unpriced_calls")
        self._turn = threading.Lock()
        self._totals: Mapping[Labels, Sums] = {}
        self._labels: list[Labels] = []
        self._known: list[Sums] = []
        """The totals as they were added up, in the order of `_labels`."""
        self._series: dict[Values | None, tuple[int | Decimal]] = {}

    def series(self) -> Series:
        """What each series stands at; none where no call said anything. Only totals that moved are added up anew."""
        with self._turn:
            totals = self._counters()
            if totals is not self._totals:  # within one mapping they neither go away nor back
                self._totals, self._labels, self._known, self._series = totals, [], [], {}
            # Lists are one step for the interpreter, so the writer may go on meanwhile; what it adds goes to the end.
            now = list(totals.values())
            if len(now) > len(self._known):
                self._labels = list(totals)
                self._known += [NOTHING] * (len(now) - len(self._known))
            for place, same in enumerate(map(operator.is_, self._known, now)):
                if not same:
                    before, after = self._value_of(self._known[place]), self._value_of(now[place])
                    self._move(self._labels[place], before, after)
            self._known = now
            return dict(self._series)

    def _move(self, labels: Labels, before: int | Decimal | None, after: int | Decimal | None) -> None:
        if after is None or not (after or self._shows_zero):
            return
        key: Values | None = self._labels_of(labels)
        if key not in self._series and len(self._series) >= self._limit:
            key = None
        (stood,) = self._series.get(key, (0,))
        self._series[key] = (self._plus(stood, self._minus(after, before or 0)),)

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
