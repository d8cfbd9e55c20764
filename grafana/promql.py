"""The queries' grammar: how much a counter grew, shares, quantiles, and what is 0 rather than unknown.

Why not `rate()` and `increase()`: a counter of ours appears with its first call, and for them a
series begins with the first value that was scraped. They don't see the first call of a model,
nor the first error of its kind, and guess at the edges of their window. Here a series that was
not there while its collector was scraped began at 0, and what is shown is what was counted:
docs/adr/dashboard-queries.md. Must not know what any panel shows.
"""

from __future__ import annotations

STEP = "$__interval"
"""What one point of a graph covers, so that its points share out all calls and none is in two of them."""

CHOSEN = "$__range"
"""The whole time that is looked at."""

MODEL, CONSUMER, PROVIDER = "gen_ai_request_model", "llmtoken_consumer", "gen_ai_provider_name"

NOBODY = "(none)"
"""Stands for a label that is not there: a call whose model or consumer nobody knows."""

_VARIABLES = {"provider": PROVIDER, "model": MODEL, "consumer": CONSUMER}


def chosen(metric: str, *variables: str, where: str = "") -> str:
    """A metric's series, as far as these variables choose them; `where` is more of PromQL's own."""
    matchers = [f'{_VARIABLES[name]}=~"${name}"' for name in variables]
    inside = ", ".join([*matchers, where] if where else matchers)
    return f"{metric}{{{inside}}}" if inside else metric


def grown(series: str, window: str = STEP) -> str:
    """By how much each series grew in the window before a moment."""
    if window == STEP:
        # What is lower than before began anew. What was not there while the collector was scraped began at 0.
        # Five minutes back, so that what comes with the first scrape after a gap is not lost.
        now, offset = f"last_over_time({series}[{window}])", f" offset {window}"
        before = f"last_over_time({series}[5m]{offset}) <= {now}"
        return f"({now} - ({before} or 0 * {now} and {_scraped(offset)}))"
    return _grown_over(series, window, begin=f" offset {window}", end="")


def grown_after(series: str, window: str) -> str:
    """By how much each series grew in the window after a moment, as far as that is past: a day's bar begins the day."""
    return _grown_over(series, window, begin="", end=f" offset -{window}")


def _grown_over(series: str, window: str, begin: str, end: str) -> str:
    """The same over a long time, in which Prometheus may have begun to scrape the collector."""
    now, seen = (f"{function}({series}[{window}]{end})" for function in ("last_over_time", "count_over_time"))
    # The least of several, should clusters have collectors of the same name behind one data source.
    scrapes = f"min by (job, instance) (sum_over_time(up[{window}]{end}))"
    before = " or ".join(
        [
            f"last_over_time({series}[5m]{begin})",
            f"0 * {now} and {_scraped(begin)}",
            # Fewer values than scrapes: the series began later than the collector, at 0.
            f"0 * {now} and {seen} < on (job, instance) group_left () {scrapes}",
            # As many: it was there before Prometheus was, and nobody knows what it began at.
            f"min_over_time({series}[{window}]{end})",
        ]
    )
    restarted = f"resets({series}[{window}]{end}) > 0 or increase({series}[{window}]{end})"
    return f"({now} - ({before}) unless {restarted})"


def _scraped(offset: str) -> str:
    return f"on (job, instance) (max_over_time(up[5m]{offset}) == 1)"


def added_up(vector: str, *by: str) -> str:
    """The sum, for each value of these labels; a missing one of a model or consumer is named."""
    total = f"sum by ({', '.join(by)}) {vector}" if by else f"sum {vector}"
    for label in by:
        if label in (MODEL, CONSUMER):
            total = f'label_replace({total}, "{label}", "{NOBODY}", "{label}", "")'
    return total


def per_second(growth: str) -> str:
    """What grew in a step, as a rate."""
    return f"{growth} / ($__interval_ms / 1000)"


def per_minute(growth: str) -> str:
    """The same by the minute: models are seldom called so often that a second holds a call."""
    return f"{growth} / ($__interval_ms / 60000)"


def quantile(of: float, buckets: str, *by: str) -> str:
    """A quantile of what a histogram's buckets grew by."""
    return f"histogram_quantile({of}, {added_up(buckets, 'le', *by)})"


def or_zero(query: str, unless: str = "") -> str:
    """0 where nothing was counted, as long as there is a collector that would have counted it."""
    zero = "0 * sum(llmtoken_reports_total)"
    return f"{query} or ({zero} unless {unless})" if unless else f"{query} or {zero}"


def share(part: str, whole: str) -> str:
    """A part of a whole, both sums; nothing where the whole is 0."""
    return f"({part}) / ({whole} > 0)"
