"""The dashboard Overview: who uses what, how fast it answers, what it costs, what goes wrong."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import series
from grafana.building import Row, page
from grafana.links import health_link
from grafana.over_time import events, lines
from grafana.panels import columns, number
from grafana.promql import CHOSEN, CONSUMER, MODEL, or_zero, per_second
from grafana.questions import (
    BROKEN_OFF,
    BY_MODEL,
    FAILED,
    calls_per_minute,
    failed,
    growth,
    lost,
    per_hour,
    percentile,
    total,
)


def overview() -> Dashboard:
    """The dashboard, ready to be written."""
    return page(
        "overview",
        "LLM overview",
        "Who uses which models, how fast they answer, what they cost and what goes wrong.",
        [_totals(), _traffic(), _latency(), _who()],
    )


def _totals() -> Row:
    return Row(
        "In the chosen time",
        [
            number(
                "Calls",
                "short",
                total(series.REQUESTS),
                "Calls that passed the proxy and were stored, of all consumers.",
            ),
            number(
                "Failed calls",
                "percentunit",
                failed(),
                "Calls that ended in an error, of the calls of all consumers.",
                none="no calls",
                bad=0.1,
            ),
            number(
                "Input tokens",
                "short",
                total(series.INPUT),
                "Input tokens, cached ones included, as far as they are known.",
                none="unknown",
            ),
            number(
                "Output tokens",
                "short",
                total(series.OUTPUT),
                "Output tokens, reasoning included, as far as they are known.",
                none="unknown",
            ),
            number("Cost", "currencyUSD", total(series.COST), "Of the calls that have a price.", none="no prices"),
            number(
                "Duration, p95",
                "s",
                percentile(0.95, series.DURATION, window=CHOSEN),
                "19 of 20 calls were done in this time.",
                none="no calls",
            ),
            number(
                "First chunk, p95",
                "s",
                percentile(0.95, series.FIRST_CHUNK, window=CHOSEN),
                "In 19 of 20 streamed calls something had appeared by then.",
                none="no streams",
            ),
            number(
                "Not counted",
                "short",
                lost(CHOSEN),
                "Calls that are in none of these numbers: lost by a plugin, or reported by none. Should be 0; the "
                "dashboard LLM meter health says why.",
                none="no collector",
                bad=1,
                link=health_link(),
            ),
        ],
    )


def _traffic() -> Row:
    return Row(
        "Traffic",
        [
            lines(
                "Calls per minute",
                "short",
                {BY_MODEL: calls_per_minute(MODEL)},
                "By the model that was asked for. (none): the request named no model.",
                stacked=True,
            ),
            lines(
                "Tokens per second",
                "short",
                {"input": per_second(growth(series.INPUT)), "output": per_second(growth(series.OUTPUT))},
                "Input and output. Output is what models work on; input is mostly what is paid for.",
                none="no tokens known",
            ),
            events(
                "Errors and broken-off calls",
                " + ".join(f"({or_zero(growth(series.REQUESTS, where=kind))})" for kind in (FAILED, BROKEN_OFF)),
                {
                    "{{error_type}} ({{http_response_status_code}})": growth(
                        series.REQUESTS, "error_type", "http_response_status_code", where=FAILED
                    ),
                    "broken off by {{llmtoken_aborted}}": growth(series.REQUESTS, "llmtoken_aborted", where=BROKEN_OFF),
                },
                "How many, in the time that a bar covers: by the provider's class of error with the HTTP status, and "
                "calls that client or upstream broke off without another error.",
                none="no collector",
            ),
            lines(
                "Cost per hour",
                "currencyUSD",
                {BY_MODEL: per_hour(series.COST, MODEL)},
                "What an hour at the present rate costs, in US dollars. Calls without a price are left out.",
                none="no prices",
                stacked=True,
            ),
        ],
    )


def _latency() -> Row:
    return Row(
        "Latency",
        [
            lines(
                "Duration",
                "s",
                {"p50": percentile(0.5, series.DURATION), "p95": percentile(0.95, series.DURATION)},
                "From the request's arrival to the reply's last byte: half of the calls, and 19 of 20, were faster.",
                joined=True,
            ),
            lines(
                "Time to first chunk",
                "s",
                {"p50": percentile(0.5, series.FIRST_CHUNK), "p95": percentile(0.95, series.FIRST_CHUNK)},
                "Streamed calls only: how long a reader waits before something appears.",
                none="no streamed calls",
                joined=True,
            ),
        ],
    )


def _who() -> Row:
    return Row(
        "Who and what",
        [
            columns(
                "Top models",
                {MODEL: "Model"},
                {
                    "Calls": ("short", total(series.REQUESTS, MODEL)),
                    "Failed": ("percentunit", failed(MODEL)),
                    "Input tokens": ("short", total(series.INPUT, MODEL)),
                    "Output tokens": ("short", total(series.OUTPUT, MODEL)),
                    "Cost": ("currencyUSD", total(series.COST, MODEL)),
                },
                "What each model did in the chosen time. Its name leads to its calls. _other: beyond the limit of "
                "names; (none): the request named no model.",
            ),
            columns(
                "Top consumers",
                {CONSUMER: "Consumer"},
                {
                    "Input tokens": ("short", total(series.INPUT, CONSUMER)),
                    "Output tokens": ("short", total(series.OUTPUT, CONSUMER)),
                    "Cost": ("currencyUSD", total(series.COST, CONSUMER)),
                },
                "What each consumer used in the chosen time. The name leads to the calls. (none): the plugin was not "
                "told who calls, see docs/plugin.md.",
                none="no tokens known",
            ),
        ],
    )
