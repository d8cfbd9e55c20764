"""The dashboard Overview: who uses what, how fast it answers, what it costs, what goes wrong."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.building import Row, choice, columns, lines, number, page

_CALLS = 'gen_ai_provider_name=~"$provider", gen_ai_request_model=~"$model"'
"""What every query about calls selects."""

_FAILED = ', error_type!=""'

_MODEL, _CONSUMER = "gen_ai_request_model", "llmtoken_consumer"

_INPUT = "gen_ai_client_inference_usage_input_tokens_total"
_OUTPUT = "gen_ai_client_inference_usage_output_tokens_total"
_DURATION = "gen_ai_client_operation_duration_seconds"
_FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
_SPEED = "llmtoken_output_speed_per_second"
_COST = "llmtoken_cost_usd_total"
_REQUESTS = "llmtoken_requests_total"
_DROPPED = "llmtoken_plugin_dropped_total"
_GIVEN_UP = "llmtoken_plugin_failed_total"
_MISSING = "llmtoken_plugin_missing_reports_total"
_LATE = "llmtoken_plugin_late_reports_total"


def overview() -> Dashboard:
    """The dashboard, ready to be written."""
    return page(
        uid="llmtoken-overview",
        title="LLM overview",
        description="Who uses which models, how fast they answer, what they cost and what goes wrong.",
        variables=[
            choice("provider", "Provider", f"label_values({_REQUESTS}, gen_ai_provider_name)"),
            choice("model", "Model", f'label_values({_REQUESTS}{{gen_ai_provider_name=~"$provider"}}, {_MODEL})'),
        ],
        rows=[_totals(), _traffic(), _latency(), _shares(), _trust()],
    )


def _total(metric: str, by: str = "", where: str = "") -> str:
    return f"sum{by} (increase({metric}{{{_CALLS}{where}}}[$__range]))"


def _rate(metric: str, by: str = "", where: str = "") -> str:
    return f"sum{by} (rate({metric}{{{_CALLS}{where}}}[$__rate_interval]))"


def _reports(metric: str, by: str = "") -> str:
    return f"sum{by} (increase({metric}[$__rate_interval]))"


def _quantile(quantile: float, histogram: str, by: str = "", window: str = "$__rate_interval") -> str:
    return f"histogram_quantile({quantile}, sum by (le{by}) (rate({histogram}_bucket{{{_CALLS}}}[{window}])))"


def _totals() -> Row:
    errors, requests = _total(_REQUESTS, where=_FAILED), _total(_REQUESTS)
    return Row(
        "In the chosen time",
        [
            number("Calls", "short", requests, "Calls that passed the proxy and were stored."),
            number("Input tokens", "short", _total(_INPUT), "Input tokens, cached ones included."),
            number("Output tokens", "short", _total(_OUTPUT), "Output tokens, reasoning included."),
            number("Cost", "currencyUSD", _total(_COST), "Of the calls that have a price.", none="no prices"),
            number(
                "Failed calls",
                "percentunit",
                f"({errors} or vector(0)) / ({requests} > 0)",
                "Calls that ended in an error, of all calls.",
                bad=0.1,
            ),
            number(
                "Duration, 95th percentile",
                "s",
                _quantile(0.95, _DURATION, window="$__range"),
                "19 of 20 calls were done in this time.",
            ),
        ],
    )


def _traffic() -> Row:
    by_model = f" by ({_MODEL})"
    return Row(
        "Traffic",
        [
            lines(
                "Calls per second",
                "reqps",
                {f"{{{{{_MODEL}}}}}": _rate(_REQUESTS, by_model)},
                "By the model that was asked for.",
                stacked=True,
            ),
            lines(
                "Tokens per second",
                "short",
                {"input": _rate(_INPUT), "output": _rate(_OUTPUT)},
                "Input and output. Output is what models work on; input is mostly what is paid for.",
            ),
            lines(
                "Errors per second",
                "reqps",
                {
                    "all": f"{_rate(_REQUESTS, where=_FAILED)} or vector(0)",
                    "{{error_type}} ({{http_response_status_code}})": _rate(
                        _REQUESTS, " by (error_type, http_response_status_code)", _FAILED
                    ),
                },
                "All, and by the provider's class of error with the HTTP status.",
            ),
            lines(
                "Cost per hour",
                "currencyUSD",
                {f"{{{{{_MODEL}}}}}": f"{_rate(_COST, by_model)} * 3600"},
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
                {"median": _quantile(0.5, _DURATION), "95th percentile": _quantile(0.95, _DURATION)},
                "From the request's arrival to the reply's last byte.",
            ),
            lines(
                "Time to first chunk",
                "s",
                {"median": _quantile(0.5, _FIRST_CHUNK), "95th percentile": _quantile(0.95, _FIRST_CHUNK)},
                "Streamed calls only: how long a reader waits before something appears.",
                none="no streamed calls",
            ),
            lines(
                "Output speed",
                "short",
                {f"{{{{{_MODEL}}}}}": _quantile(0.5, _SPEED, f", {_MODEL}")},
                "Median output tokens per second over whole calls, waiting included, by model.",
            ),
            lines(
                "Duration by model",
                "s",
                {f"{{{{{_MODEL}}}}}": _quantile(0.95, _DURATION, f", {_MODEL}")},
                "95th percentile, by the model that was asked for.",
            ),
        ],
    )


def _shares() -> Row:
    by_model, by_consumer = f" by ({_MODEL})", f" by ({_CONSUMER})"
    return Row(
        "Who and what",
        [
            columns(
                "Models",
                _MODEL,
                "Model",
                {
                    "Calls": ("short", _total(_REQUESTS, by_model)),
                    "Input tokens": ("short", _total(_INPUT, by_model)),
                    "Output tokens": ("short", _total(_OUTPUT, by_model)),
                    "Cost": ("currencyUSD", _total(_COST, by_model)),
                },
                "What each model did in the chosen time. _other: beyond the limit of names, see docs/metrics.md.",
            ),
            columns(
                "Consumers",
                _CONSUMER,
                "Consumer",
                {
                    "Input tokens": ("short", _total(_INPUT, by_consumer)),
                    "Output tokens": ("short", _total(_OUTPUT, by_consumer)),
                    "Cost": ("currencyUSD", _total(_COST, by_consumer)),
                },
                "What each consumer used in the chosen time. Empty: the plugin was not told who calls.",
            ),
        ],
    )


def _trust() -> Row:
    return Row(
        "How far to trust these numbers",
        [
            lines(
                "Where token counts come from",
                "reqps",
                {"{{llmtoken_usage_source}}": _rate(_REQUESTS, " by (llmtoken_usage_source)")},
                "reported: by the provider. estimated: counted here. partial: the reply was cut. unknown: neither.",
                stacked=True,
            ),
            lines(
                "Reports lost",
                "short",
                {
                    "dropped: {{reason}}": _reports(_DROPPED, " by (reason)"),
                    "given up: {{reason}}": _reports(_GIVEN_UP, " by (reason)"),
                },
                "Calls that are missing here and in the audit, by the plugins' own account. Should be 0.",
                stacked=True,
            ),
            lines(
                "Reports missing",
                "short",
                {
                    "missing now": f"sum({_MISSING}) - sum({_LATE})",
                    "turned up late": _reports(_LATE),
                },
                "Calls that plugins saw, that did not arrive, and that no plugin says it lost, since the collector "
                "started. Should be 0.",
            ),
        ],
    )
