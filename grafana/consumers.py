"""The dashboard Consumers and cost: who spends how much on what, and whether that is within the budget."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import series
from grafana.building import Row, page
from grafana.over_time import OBJECTIVE, days, lines
from grafana.panels import columns, number
from grafana.promql import CHOSEN, CONSUMER, MODEL, added_up, grown_after, or_zero, share
from grafana.questions import BY_CONSUMER, BY_MODEL, growth, of_calls, part, per_hour, total
from grafana.variables import typed

_MONTH = "now/M"


def consumers() -> Dashboard:
    """The dashboard, ready to be written."""
    return page(
        "consumers",
        "LLM consumers and cost",
        "Who spends how much on which model, day by day, and whether that is within the budget.",
        [_budget(), _days(), _rates(), _who()],
        more=[typed("budget", "Monthly budget (USD)", "1000")],
        time="now-7d",
    )


def _day(metric: str, *by: str) -> str:
    return added_up(grown_after(of_calls(metric), "1d"), *by)


def _unpriced(*by: str) -> str:
    """Which share of the calls that used tokens has no price."""
    calls = growth(series.REQUESTS, *by, window=CHOSEN, where='llmtoken_usage_source!="unknown"')
    unpriced = growth(series.UNPRICED, *by, window=CHOSEN)
    return share(f"{unpriced} or 0 * {calls}", calls)


def _budget() -> Row:
    spent = total(series.COST)
    length = "(days_in_month() * 86400)"
    return Row(
        "Budget",
        [
            number(
                "Spent this month",
                "currencyUSD",
                spent,
                "Since the month began, by the calls that have a price.",
                none="no prices",
                time_from=_MONTH,
                width=4,
            ),
            number(
                "Of the monthly budget",
                "percentunit",
                f"({spent}) / $budget",
                "What was spent since the month began, of the budget that is typed above.",
                none="no prices",
                bad=1,
                time_from=_MONTH,
                width=4,
            ),
            number(
                "At this pace by the month's end",
                "currencyUSD",
                f"({spent}) * on () {length} / on () vector($__range_s)",
                "What the month will cost if it goes on as it began.",
                none="no prices",
                time_from=_MONTH,
                width=4,
            ),
            number(
                "Spent in the chosen time",
                "currencyUSD",
                spent,
                "By the calls that have a price.",
                none="no prices",
                width=4,
            ),
            number(
                "Calls without a price",
                "percentunit",
                _unpriced(),
                "Calls whose model has no known price, of those with tokens: this much is missing from every cost "
                "here. Give them prices in the collector's configuration.",
                none="no calls",
                bad=0.05,
                width=4,
            ),
            number(
                "Consumers",
                "short",
                or_zero(f"count({growth(series.INPUT, CONSUMER, window=CHOSEN)} > 0)"),
                "How many consumers used tokens in the chosen time; who nobody knows are one.",
                width=4,
            ),
        ],
    )


def _days() -> Row:
    return Row(
        "Day by day",
        [
            days(
                "Cost by day and model",
                "currencyUSD",
                {BY_MODEL: _day(series.COST, MODEL), OBJECTIVE: "$budget / days_in_month()"},
                "The last 30 days. The line is the day's share of the monthly budget.",
                none="no prices",
            ),
            days(
                "Cost by day and consumer",
                "currencyUSD",
                {BY_CONSUMER: _day(series.COST, CONSUMER)},
                "The last 30 days. (none): the plugin was not told who calls.",
                none="no prices",
            ),
            days(
                "Tokens by day",
                "short",
                {"input": _day(series.INPUT), "output": _day(series.OUTPUT)},
                "The last 30 days: input with what was cached, output with reasoning.",
                none="no tokens known",
            ),
            days(
                "Calls without a price by day",
                "short",
                {BY_MODEL: _day(series.UNPRICED, MODEL)},
                "The last 30 days, calls that used tokens but have no known price, by model.",
                none="none",
            ),
        ],
    )


def _rates() -> Row:
    return Row(
        "Cost per hour",
        [
            lines(
                "Cost per hour by consumer",
                "currencyUSD",
                {BY_CONSUMER: per_hour(series.COST, CONSUMER)},
                "What an hour at the present rate costs.",
                none="no prices",
                stacked=True,
            ),
            lines(
                "Cost per hour by model",
                "currencyUSD",
                {BY_MODEL: per_hour(series.COST, MODEL)},
                "What an hour at the present rate costs.",
                none="no prices",
                stacked=True,
            ),
        ],
    )


def _who() -> Row:
    share_of_all = (
        f"{total(series.COST, CONSUMER)} / ignoring ({CONSUMER}) group_left () {growth(series.COST, window=CHOSEN)}"
    )
    return Row(
        "In the chosen time",
        [
            columns(
                "Consumers",
                {CONSUMER: "Consumer"},
                {
                    "Cost": ("currencyUSD", total(series.COST, CONSUMER)),
                    "Of all": ("percentunit", share_of_all),
                    "Input tokens": ("short", total(series.INPUT, CONSUMER)),
                    "Cached": ("percentunit", part(series.CACHED, series.INPUT, CONSUMER, window=CHOSEN)),
                    "Output tokens": ("short", total(series.OUTPUT, CONSUMER)),
                },
                "What each consumer used. The name leads to the calls.",
                none="no tokens known",
            ),
            columns(
                "Models",
                {MODEL: "Model"},
                {
                    "Cost": ("currencyUSD", total(series.COST, MODEL)),
                    "Calls": ("short", total(series.REQUESTS, MODEL)),
                    "Unpriced": ("percentunit", _unpriced(MODEL)),
                    "Input tokens": ("short", total(series.INPUT, MODEL)),
                    "Output tokens": ("short", total(series.OUTPUT, MODEL)),
                },
                "What each model was used for. Its name leads to its calls.",
            ),
            columns(
                "Consumers and their models",
                {CONSUMER: "Consumer", MODEL: "Model"},
                {
                    "Cost": ("currencyUSD", total(series.COST, CONSUMER, MODEL)),
                    "Input tokens": ("short", total(series.INPUT, CONSUMER, MODEL)),
                    "Output tokens": ("short", total(series.OUTPUT, CONSUMER, MODEL)),
                },
                "Who used what. A name leads to its calls.",
                none="no tokens known",
                width=24,
            ),
        ],
    )
