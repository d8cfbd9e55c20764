"""The dashboard Health of the meter: whether everything is counted, and how far the numbers can be trusted."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import series
from grafana.building import Row, page
from grafana.over_time import OBJECTIVE, events, lines
from grafana.panels import distribution, number
from grafana.promql import CHOSEN, MODEL, added_up, grown, or_zero, per_minute, quantile, share
from grafana.questions import BY_MODEL, buckets, growth, lost, missing, percentile

_NOT_TOLD = 'llmtoken_usage_source!="reported"'


def health() -> Dashboard:
    """The dashboard, ready to be written."""
    return page(
        "health",
        "LLM meter health",
        "Whether every call is counted, how far the numbers can be trusted, and whether the collector keeps up.",
        [_totals(), _reports(), _trust(), _collector(), _books()],
    )


def _grown(metric: str, *by: str) -> str:
    return added_up(grown(metric), *by)


def _totals() -> Row:
    calls = growth(series.REQUESTS, window=CHOSEN)
    not_told = growth(series.REQUESTS, window=CHOSEN, where=_NOT_TOLD)
    return Row(
        "At a glance",
        [
            number(
                "Collectors",
                "short",
                f'count({series.REPORTS}{{llmtoken_report_outcome="accepted"}})',
                "Collectors that Prometheus can scrape now.",
                none="none answers",
                low=1,
            ),
            number(
                "Last commit",
                "s",
                f"time() - max({series.LAST_COMMIT})",
                "How long ago the audit was last written to. Long when nobody calls a model.",
                none="no row yet",
            ),
            number(
                "Not counted",
                "short",
                lost(CHOSEN),
                "Calls of the chosen time that a plugin says it lost, and those missing now. Should be 0.",
                none="no collector",
                bad=1,
            ),
            number(
                "Not reported usage",
                "percentunit",
                share(f"{not_told} or 0 * {calls}", calls),
                "Calls whose tokens the provider did not tell: counted here, counted as far as the reply came, or "
                "unknown. Of all calls in the chosen time.",
                none="no calls",
                bad=0.5,
            ),
            number(
                "Parse failures",
                "short",
                or_zero(added_up(grown(series.PARSE_FAILURES, CHOSEN))),
                "Things in reports that could not be understood, in the chosen time. The calls are stored anyway.",
                none="no collector",
            ),
            number(
                "Counters off",
                "short",
                f"sum({series.UNBALANCED})",
                "Series of the counters that were not the sums of the audit's rows when last compared. Should be 0.",
                none="not compared",
                bad=1,
            ),
            number(
                "Queue",
                "short",
                f"sum({series.QUEUE_REPORTS})",
                "Reports that wait for the database now.",
                none="no collector",
                bad=1000,
            ),
            number(
                "Database",
                "bytes",
                f"max({series.DATABASE})",
                "Size of the audit database; of the largest, where there are several.",
                none="unknown",
            ),
        ],
    )


def _reports() -> Row:
    return Row(
        "Reports",
        [
            lines(
                "Reports per minute",
                "short",
                {"{{llmtoken_report_outcome}}": per_minute(_grown(series.REPORTS, "llmtoken_report_outcome"))},
                "Reports that reached the collector. duplicate: already stored, counted once. rejected: not usable.",
                none="no collector",
                stacked=True,
            ),
            events(
                "Reports lost",
                f"{_grown(series.DROPPED)} + {_grown(series.GIVEN_UP)}",
                {
                    "dropped: {{reason}}": _grown(series.DROPPED, "reason"),
                    "given up: {{reason}}": _grown(series.GIVEN_UP, "reason"),
                },
                "Calls that are missing here and in the audit, by the plugins' own account. Should be 0. The reasons "
                "are explained in docs/operations.md.",
                none="no collector",
            ),
            lines(
                "Reports missing",
                "short",
                {"missing": missing(), "turned up late": _grown(series.LATE)},
                "Calls that plugins saw, that did not arrive, and that no plugin says it lost. Should be 0.",
                none="no collector",
            ),
            events(
                "Parse failures",
                or_zero(_grown(series.PARSE_FAILURES)),
                {"{{llmtoken_parse_problem}}": _grown(series.PARSE_FAILURES, "llmtoken_parse_problem")},
                "Things in stored reports that could not be understood, by what was wrong.",
                none="no collector",
            ),
        ],
    )


def _trust() -> Row:
    by_source = growth(series.REQUESTS, "llmtoken_usage_source")
    return Row(
        "How far to trust the numbers",
        [
            lines(
                "Where token counts come from",
                "percentunit",
                {
                    "{{llmtoken_usage_source}}": f"{by_source} / ignoring (llmtoken_usage_source) group_left () "
                    f"({growth(series.REQUESTS)} > 0)"
                },
                "Shares of the calls. reported: by the provider. estimated: counted here. partial: the reply was cut, "
                "what had arrived was counted. unknown: neither.",
                stacked=True,
                top=1,
            ),
            lines(
                "Estimates against reports, by model",
                "short",
                {
                    f"{BY_MODEL} {{{{gen_ai_token_type}}}}": percentile(
                        0.5, series.ESTIMATE_RATIO, MODEL, "gen_ai_token_type"
                    ),
                    OBJECTIVE: "vector(1)",
                },
                "Median of our estimate over what the provider reported, on a sample of calls that had both. 1 is "
                "exact; what drifts away from it means that a tokenizer changed.",
                none="none compared yet",
                joined=True,
                bottom=0.5,
                top=1.5,
            ),
            distribution(
                "Estimate over report, at most",
                buckets(series.ESTIMATE_RATIO, CHOSEN),
                "How many sampled calls were estimated how well in the chosen time: between 0.97 and 1.03 is good.",
            ),
            lines(
                "Names counted as _other",
                "short",
                {"{{llmtoken_dimension}}": _grown(series.OVERFLOW, "llmtoken_dimension")},
                "Names beyond the limits max_models and max_consumers. The audit has them in full. Should be 0.",
                none="no collector",
            ),
        ],
    )


def _collector() -> Row:
    commits = f"{series.COMMIT_DURATION}_bucket"
    return Row(
        "The collector",
        [
            lines(
                "Queue",
                "short",
                {
                    "waiting": f"sum({series.QUEUE_REPORTS})",
                    "most": f"sum(max_over_time({series.QUEUE_REPORTS}[$__interval]))",
                },
                "Reports that wait for the database. It should come back to 0; at the limit plugins are told to wait.",
                none="no collector",
            ),
            lines(
                "Queue, bytes",
                "bytes",
                {"waiting": f"sum({series.QUEUE_BYTES})"},
                "Memory that waiting reports hold.",
                none="no collector",
            ),
            lines(
                "Time of a commit",
                "s",
                {"p50": quantile(0.5, grown(commits)), "p99": quantile(0.99, grown(commits))},
                "How long one transaction of the audit took. Long ones mean a slow or a full disk.",
                none="no commits",
                joined=True,
            ),
            lines(
                "Calls a commit",
                "short",
                {"calls": share(_grown(series.COMMIT_ROWS), _grown(f"{series.COMMIT_DURATION}_count"))},
                "Calls that were written together. It grows with the load, which is how the collector keeps up.",
                none="no commits",
                joined=True,
            ),
        ],
    )


def _books() -> Row:
    return Row(
        "The books",
        [
            lines(
                "Size of the database",
                "bytes",
                {"size": f"max({series.DATABASE})"},
                "Calls and their bodies. The settings retain_* keep it in bounds: docs/operations.md.",
                none="unknown",
                width=8,
            ),
            lines(
                "Counters that differ from the audit",
                "short",
                {"series": f"sum({series.UNBALANCED})"},
                "Series that were not the sums of the audit's rows when last compared. Should be 0.",
                none="not compared yet",
                width=8,
            ),
            lines(
                "Refusals and failures",
                "short",
                {
                    "reports told to come again": _grown(series.REFUSALS),
                    "commits that failed": _grown(series.COMMIT_FAILURES),
                    "calls without texts": _grown(series.REDACTION_FAILURES),
                    "unusable tokenizers": _grown(series.TOKENIZER_FAILURES),
                    "pushes not taken": _grown(series.PUSH_FAILURES),
                },
                "Requests that found the queue full and come again, transactions that the database refused, calls "
                "whose texts couldn't be redacted and so aren't stored, files of the setting tokenizers that are "
                "broken, and pushes of the metrics over OTLP that failed. Should be 0.",
                none="no collector",
                width=8,
            ),
        ],
    )
