"""What is asked about calls in more than one dashboard: totals, rates, quantiles, shares.

All of them keep to the model and provider that are chosen. Tokens and cost keep to the consumer,
too; calls and their times are not counted by consumer.
"""

from __future__ import annotations

from grafana import series
from grafana.promql import (
    CHOSEN,
    CONSUMER,
    MODEL,
    STEP,
    added_up,
    chosen,
    grown,
    or_zero,
    per_minute,
    quantile,
    share,
)

FAILED = 'error_type!=""'
BROKEN_OFF = 'llmtoken_aborted!="", error_type=""'
"""Ended early by client or upstream, and otherwise well: apart from the failed ones, so that both add up."""

BY_MODEL, BY_CONSUMER = f"{{{{{MODEL}}}}}", f"{{{{{CONSUMER}}}}}"

_BY_CONSUMER = {series.INPUT, series.OUTPUT, series.CACHED, series.REASONING, series.COST}


def of_calls(metric: str, where: str = "") -> str:
    """A metric's series of the calls that are chosen."""
    consumer = ["consumer"] if metric in _BY_CONSUMER else []
    return chosen(metric, "provider", "model", *consumer, where=where)


def growth(metric: str, *by: str, window: str = STEP, where: str = "") -> str:
    """How much a counter of calls grew, added up."""
    return added_up(grown(of_calls(metric, where), window), *by)


def total(metric: str, *by: str, where: str = "") -> str:
    """How much a counter of calls grew in the whole time; unless asked by name 0, not nothing, without calls."""
    found = growth(metric, *by, window=CHOSEN, where=where)
    if by:
        return found
    if metric == series.REQUESTS:
        return or_zero(found)
    # Calls whose tokens or price nobody knows are not calls with 0 tokens or for nothing.
    return or_zero(found, unless=f"{growth(series.REQUESTS, window=CHOSEN)} > 0")


def calls_per_minute(*by: str, where: str = "") -> str:
    """Calls a minute."""
    return per_minute(growth(series.REQUESTS, *by, where=where))


def per_hour(metric: str, *by: str) -> str:
    """What an hour at the present rate comes to."""
    return f"{growth(metric, *by)} / ($__interval_ms / 3600000)"


def percentile(of: float, histogram: str, *by: str, window: str = STEP) -> str:
    """A quantile of what calls were like."""
    return quantile(of, grown(of_calls(f"{histogram}_bucket"), window), *by)


def buckets(histogram: str, window: str = STEP, where: str = "") -> str:
    """How many calls fell into each bucket."""
    return added_up(grown(of_calls(f"{histogram}_bucket", where), window), "le")


def within(histogram: str, bound: str) -> str:
    """The share of calls within a bound, which must be one of the histogram's."""
    inside = growth(f"{histogram}_bucket", window=CHOSEN, where=f'le="{bound}"')
    return share(inside, growth(f"{histogram}_count", window=CHOSEN))


def part(metric: str, whole: str, *by: str, window: str = STEP) -> str:
    """Which share of the tokens is of this kind, where providers tell."""
    # With metrics_detail = "lean" these are not divided by consumer, and then no consumer's.
    where = f'{CONSUMER}!=""' if CONSUMER in by else ""
    return share(growth(metric, *by, window=window, where=where), growth(whole, *by, window=window))


def failed(*by: str) -> str:
    """Which share of the calls of the whole time failed."""
    calls = growth(series.REQUESTS, *by, window=CHOSEN)
    errors = growth(series.REQUESTS, *by, window=CHOSEN, where=FAILED)
    return share(f"{errors} or 0 * {calls}", calls)


def lost(window: str) -> str:
    """Calls that are in no number here, as plugins say and as gaps in their numbering show."""
    dropped, given_up = (added_up(grown(name, window)) for name in (series.DROPPED, series.GIVEN_UP))
    return f"{dropped} + {given_up} + {missing()}"


def missing() -> str:
    """Reports that should have arrived and did not, now."""
    return f"sum({series.MISSING}) - sum({series.LATE})"
