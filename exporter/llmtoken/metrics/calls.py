"""Times and sizes of calls: the histograms that each call is recorded in."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from llmtoken.call import Call
from llmtoken.metrics import instruments
from llmtoken.metrics.detail import Detail, shown
from llmtoken.metrics.histograms import Histogram
from llmtoken.metrics.instruments import Instrument
from llmtoken.totals import Labels


class Calls:
    """The histograms of one collector, with at most `limit` series each. `record` is for one thread at a time."""

    def __init__(self, detail: Detail, *, limit: int) -> None:
        self._lock = threading.Lock()
        self._shown: list[Histogram] = []

        def histogram(instrument: Instrument) -> Histogram:
            made = Histogram(shown(instrument, detail) or instrument, limit=limit, lock=self._lock)
            if shown(instrument, detail) is not None:
                self._shown.append(made)
            return made

        self._token_usage = histogram(instruments.TOKEN_USAGE)
        self._duration = histogram(instruments.DURATION)
        self._time_to_first_chunk = histogram(instruments.TIME_TO_FIRST_CHUNK)
        self._time_per_output_chunk = histogram(instruments.TIME_PER_OUTPUT_CHUNK)
        self._output_speed = histogram(instruments.OUTPUT_SPEED)

    @property
    def shown(self) -> Sequence[Histogram]:
        """Those that are shown."""
        return self._shown

    def record(self, calls: Iterable[tuple[Call, Labels]]) -> None:
        """Take calls with their labels. Unknown values are left out, never 0."""
        with self._lock:
            for call, labels in calls:
                self._record(call, labels)

    def _record(self, call: Call, labels: Labels) -> None:
        subject = labels[:4]
        self._duration.record((*subject, labels.error_type), call.duration)
        if call.time_to_first_chunk is not None:
            self._time_to_first_chunk.record(subject, call.time_to_first_chunk)
        if call.time_per_output_chunk is not None:
            self._time_per_output_chunk.record(subject, call.time_per_output_chunk)
        if call.tokens_per_second is not None:
            self._output_speed.record(subject, call.tokens_per_second)
        if call.input_tokens is not None:
            self._token_usage.record((*subject, "input"), call.input_tokens)
        if call.output_tokens is not None:
            self._token_usage.record((*subject, "output"), call.output_tokens)
