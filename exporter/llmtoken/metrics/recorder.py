"""Recording: committed calls and the collector's own doings, into OpenTelemetry, out to Prometheus.

Owns a meter provider of its own, so that several collectors can live in one
process and nothing else shows up on `/metrics`. What counters of calls stand at is not kept
here but read from whoever commits the calls (see `show`), so both are the same number. Must
not know where calls are stored or who asks for the exposition.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from opentelemetry.metrics import CallbackOptions, Counter, NoOpMeter, Observation
from opentelemetry.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    DefaultAggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    View,
)

from llmtoken import __version__
from llmtoken.call import Call
from llmtoken.errors import ConfigError
from llmtoken.ledger import DROPPED, FAILED, LATE, MISSING
from llmtoken.metrics import exposition, instruments, otlp, totals
from llmtoken.metrics.beside import Beside, known
from llmtoken.metrics.calls import Calls
from llmtoken.metrics.detail import Detail, shown
from llmtoken.metrics.labelling import Labelling, overflown
from llmtoken.metrics.names import OTHER
from llmtoken.metrics.totals import TOTALS
from llmtoken.totals import Labels, Sums

SERIES = {"counter": 4000, "histogram": 1000, "gauge": 10}
"""Attribute sets an instrument may have; the SDK adds up all further ones under `otel_metric_overflow`."""

_Callback = Callable[[CallbackOptions], Iterable[Observation]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doings:
    """What happened since the collector's start: the last times, in Unix time, and what plugins lost."""

    last_report: float | None
    last_commit: float | None
    lost: int
    """By the plugins' own account."""
    missing: int
    """What didn't arrive, without anybody's knowing why."""


class Metrics:
    """All instruments of one collector, its name being `instance`. `push` allows what OTEL_EXPORTER_OTLP_ENDPOINT asks.

    Raises `ConfigError` when OTEL_SDK_DISABLED is set, or something is wrong with where to push.
    `record` is for one writer thread; everything else may be called from any thread.
    """

    def __init__(
        self,
        *,
        max_models: int,
        max_consumers: int,
        instance: str,
        detail: Detail = "full",
        push: bool = True,
    ) -> None:
        self._detail = detail
        self._calls = Calls(detail, limit=SERIES["histogram"])
        self._beside: list[Beside] = [*self._calls.shown]
        self._exposition = exposition.Exposition(self._beside)
        self._push: otlp.Push | None = None
        if push:
            self._push = otlp.from_environment(self._beside, failed=lambda: self._otlp_failures.add(1))
        self._provider = MeterProvider(
            [self._exposition.reader, *([self._push] if self._push else [])],
            resource=otlp.resource({"service.version": __version__, "service.instance.id": instance}),
            exemplar_filter=AlwaysOffExemplarFilter(),
            shutdown_on_exit=False,
            views=[_view(instrument, detail) for instrument in instruments.INSTRUMENTS],
        )
        self._meter = self._provider.get_meter("llmtoken")
        if isinstance(self._meter, NoOpMeter):
            raise ConfigError(
                "OTEL_SDK_DISABLED is set, so nothing would be counted", hint="unset it for the collector"
            )
        self._labelling = Labelling(max_models=max_models, max_consumers=max_consumers)
        self._exposing = threading.Lock()
        self._last_report_at: float | None = None
        self._last_commit_at: float | None = None
        self._losses: Callable[[], Mapping[tuple[str, str], int]] = dict
        self._declare()
        self._start_at_zero()

    def _declare(self) -> None:
        self._reports = self._counter(instruments.REPORTS)
        self._parse_failures = self._counter(instruments.PARSE_FAILURES)
        self._redactions = self._counter(instruments.REDACTIONS)
        self._redaction_failures = self._counter(instruments.REDACTION_FAILURES)
        self._estimate_ratio = self._histogram(instruments.ESTIMATE_RATIO)
        self._overflow = self._counter(instruments.OVERFLOW)
        self._commit_duration = self._histogram(instruments.COMMIT_DURATION)
        self._otlp_failures = self._counter(instruments.OTLP_FAILURES)
        self._queue_refusals = self._counter(instruments.QUEUE_REFUSALS)
        self._commit_rows = self._counter(instruments.COMMIT_ROWS)
        self._commit_failures = self._counter(instruments.COMMIT_FAILURES)
        self._last_commit = self._meter.create_gauge(
            instruments.LAST_COMMIT.name,
            unit=instruments.LAST_COMMIT.unit,
            description=instruments.LAST_COMMIT.description,
        )

    def _start_at_zero(self) -> None:
        """Show what may never happen from the start, so that the first time is an increase."""
        for counter in (self._commit_rows, self._commit_failures, self._otlp_failures, self._queue_refusals):
            counter.add(0)
        for outcome in instruments.OUTCOMES:
            self._reports.add(0, {instruments.OUTCOME: outcome})
        for dimension in self._labelling.dimensions:
            self._overflow.add(0, {instruments.DIMENSION: dimension})

    # ── What happened ───────────────────────────────────────────────────────────────────

    def labels(self, call: Call) -> Labels:
        """What a call is counted under: its own names, as many as there are places for."""
        return self._labelling.of(call)

    def record(self, calls: Sequence[Call]) -> None:
        """Note the times and sizes of calls that were committed and are new. Unknown values are left out, never 0."""
        counted = [(call, self.labels(call)) for call in calls]
        self._calls.record(counted)
        overflow = Counts(dimension for _, labels in counted if OTHER in labels for dimension in overflown(labels))
        for dimension, count in overflow.items():
            self._overflow.add(count, {instruments.DIMENSION: dimension})

    def reports(self, *, accepted: int = 0, duplicates: int = 0, rejected: int = 0) -> None:
        """Count reports by what became of them."""
        if accepted or duplicates or rejected:
            self._last_report_at = time.time()
        for outcome, count in zip(instruments.OUTCOMES, (accepted, duplicates, rejected), strict=True):
            if count:
                self._reports.add(count, {instruments.OUTCOME: outcome})

    def parse_failures(self, problem: str, n: int = 1) -> None:
        """Count something that could not be understood."""
        label = self._labelling.problem(problem)
        if label == OTHER:
            self._overflow.add(n, {instruments.DIMENSION: "problem"})
        self._parse_failures.add(n, {instruments.PROBLEM: label})

    def redacted(self, counts: Mapping[str, int], *, failures: int) -> None:
        """Count what was taken out of a call by rule, and calls that lost their texts."""
        for rule, count in counts.items():
            self._redactions.add(count, {instruments.RULE: rule})
        self._redaction_failures.add(failures)

    def estimated(self, call: Call, token_type: Literal["input", "output"], ratio: float) -> None:
        """Note how an estimate of a call compares with what was reported: their ratio, 1 being exact."""
        values = (*self.labels(call)[:4], token_type)
        self._estimate_ratio.record(ratio, known(instruments.ESTIMATE_RATIO.attributes, values))

    def committed(self, seconds: float, rows: int) -> None:
        """Note a transaction of the audit: how long it took and how many new rows it wrote."""
        self._commit_duration.record(seconds)
        self._commit_rows.add(rows)
        self._last_commit_at = time.time()
        self._last_commit.set(self._last_commit_at)

    def refused(self) -> None:
        """Note a request that found no room in the queue."""
        self._queue_refusals.add(1)

    def commit_failed(self) -> None:
        """Note a transaction of the audit that came to nothing."""
        self._commit_failures.add(1)

    def show(self, counters: Callable[[], Mapping[Labels, Sums]], *, began: datetime) -> None:
        """Show what the counters of calls stand at, which were 0 when they `began`. Call once.

        They are asked for at every scrape, in the scraping thread. What they stand at already is from
        before this process: its names keep their places, so that no series stops, and reports go on
        where they stood.
        """
        restored = counters()
        for labels in restored:
            self._labelling.keep(labels)
        if calls := sum(sums.calls for sums in restored.values()):
            self._reports.add(calls, {instruments.OUTCOME: "accepted"})
            self._commit_rows.add(calls)
        for declared, what in TOTALS.items():
            if (instrument := shown(declared, self._detail)) is not None:
                self._beside.append(totals.Counter(instrument, what, counters, began=began, limit=SERIES["counter"]))
        if self._push is not None:
            self._push.begin()

    def show_losses(self, losses: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """Show what plugins lost, by kind and reason; asked for at every scrape, like `show`. Call once.

        What may never happen is shown from the start, so that the first time is an increase.
        """
        self._losses = losses
        for instrument, kind, reasons in (
            (instruments.PLUGIN_DROPPED, "dropped", DROPPED),
            (instruments.PLUGIN_FAILED, "failed", FAILED),
            (instruments.MISSING_REPORTS, MISSING, ("",)),
            (instruments.LATE_REPORTS, LATE, ("",)),
        ):
            self._read(instrument, partial(_observe_losses, losses, kind, reasons))

    def watch(
        self,
        *,
        queue_reports: Callable[[], int],
        queue_limit_reports: Callable[[], int],
        queue_bytes: Callable[[], int],
        queue_limit_bytes: Callable[[], int],
        database_bytes: Callable[[], int | None],
        database_limit_bytes: Callable[[], int | None],
        disk_available_bytes: Callable[[], int | None],
        disk_size_bytes: Callable[[], int | None],
        unbalanced: Callable[[], int | None],
        tokenizer_failures: Callable[[], int],
    ) -> None:
        """Show these numbers, but for `None`; each is asked for at every scrape, in the scraping thread. Call once."""
        for instrument, read in (
            (instruments.QUEUE_REPORTS, queue_reports),
            (instruments.QUEUE_LIMIT_REPORTS, queue_limit_reports),
            (instruments.QUEUE_BYTES, queue_bytes),
            (instruments.QUEUE_LIMIT_BYTES, queue_limit_bytes),
            (instruments.DATABASE_BYTES, database_bytes),
            (instruments.DATABASE_LIMIT_BYTES, database_limit_bytes),
            (instruments.DISK_AVAILABLE_BYTES, disk_available_bytes),
            (instruments.DISK_SIZE_BYTES, disk_size_bytes),
            (instruments.UNBALANCED, unbalanced),
            (instruments.TOKENIZER_FAILURES, tokenizer_failures),
        ):
            self._read(instrument, partial(_observe, read))

    # ── What is seen ────────────────────────────────────────────────────────────────────

    def exposition(self, accept: str | None) -> tuple[bytes, str]:
        """The metrics and their media type: OpenMetrics when the Accept header asks for it, else classic text.

        Blocks while it collects, tens of milliseconds with thousands of series: call it from
        a worker thread. `record` goes on meanwhile.
        """
        with self._exposing:  # two scrapes at once could take each other's data
            return self._exposition.write(accept)

    def doings(self) -> Doings:
        """A few of the numbers, without collecting all."""
        losses = self._losses()
        lost = sum(count for (kind, _), count in losses.items() if kind in ("dropped", "failed"))
        missing, late = losses.get((MISSING, ""), 0), losses.get((LATE, ""), 0)
        return Doings(
            last_report=self._last_report_at, last_commit=self._last_commit_at, lost=lost, missing=missing - late
        )

    def close(self) -> None:
        """Push a last time, if at all, and let go of everything; nothing is shown afterwards. May take seconds."""
        self._provider.shutdown(timeout_millis=otlp.LAST_PUSH_MILLISECONDS)

    # ── Instruments ─────────────────────────────────────────────────────────────────────

    def _counter(self, instrument: instruments.Instrument) -> Counter:
        return self._meter.create_counter(instrument.name, instrument.unit, instrument.description)

    def _read(self, instrument: instruments.Instrument, callback: _Callback) -> None:
        """Declare what is not added to but asked for at each scrape."""
        of_kind = {"counter": self._meter.create_observable_counter, "gauge": self._meter.create_observable_gauge}
        of_kind[instrument.kind](instrument.name, [callback], instrument.unit, instrument.description)

    def _histogram(self, instrument: instruments.Instrument) -> SdkHistogram:
        return self._meter.create_histogram(instrument.name, instrument.unit, instrument.description)


def _view(instrument: instruments.Instrument, detail: Detail) -> View:
    aggregation: Aggregation = DefaultAggregation()
    if shown(instrument, detail) is None:
        aggregation = DropAggregation()
    elif instrument.kind == "histogram":
        aggregation = ExplicitBucketHistogramAggregation(instrument.buckets, record_min_max=False)
    return View(
        instrument_name=instrument.name,
        aggregation=aggregation,
        aggregation_cardinality_limit=SERIES[instrument.kind],
    )


def _observe(read: Callable[[], int | None], _: CallbackOptions) -> Iterable[Observation]:
    value = read()
    return () if value is None else (Observation(value),)


def _observe_losses(
    losses: Callable[[], Mapping[tuple[str, str], int]], kind: str, reasons: Iterable[str], _: CallbackOptions
) -> Iterable[Observation]:
    found = losses()
    for reason in reasons:
        yield Observation(found.get((kind, reason), 0), {instruments.REASON: reason} if reason else {})
