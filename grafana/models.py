"""The dashboard Models and latency: how each model behaves, and whether that is good enough."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import series
from grafana.building import Row, page
from grafana.over_time import OBJECTIVE, heat, lines
from grafana.panels import columns, distribution, number
from grafana.promql import CHOSEN, MODEL, share
from grafana.questions import BY_MODEL, buckets, failed, growth, part, percentile, total, within
from grafana.variables import one_of

_FIRST_CHUNK, _DURATION = "objective_first_chunk", "objective_duration"


def models() -> Dashboard:
    """The dashboard, ready to be written."""
    bounds = ["0.32", "0.64", "1.28", "2.56", "5.12", "10.24", "20.48", "40.96", "81.92", "163.84", "327.68"]
    return page(
        "models",
        "LLM models and latency",
        "How fast each model answers and writes, how much it is asked and says, and whether that is good enough.",
        [_totals(), _first_chunk(), _duration(), _streams(), _tokens(), _table()],
        # As prometheus/rules has them. Only bounds of the histograms can be counted exactly.
        more=[
            one_of(_FIRST_CHUNK, "First chunk within (s)", bounds[:9], "5.12"),
            one_of(_DURATION, "Done within (s)", bounds, "81.92"),
        ],
    )


def _totals() -> Row:
    return Row(
        "In the chosen time",
        [
            number(
                "Started in time",
                "percentunit",
                within(series.FIRST_CHUNK, f"${_FIRST_CHUNK}"),
                "Streamed calls whose first chunk came within the objective above, of all streamed calls.",
                none="no streams",
                low=0.95,
                width=4,
            ),
            number(
                "Done in time",
                "percentunit",
                within(series.DURATION, f"${_DURATION}"),
                "Calls that were done within the objective above, of all calls.",
                none="no calls",
                low=0.95,
                width=4,
            ),
            number(
                "Output speed",
                "short",
                percentile(0.5, series.SPEED, window=CHOSEN),
                "Median of the output tokens per second over whole calls, waiting included.",
                none="unknown",
                width=4,
            ),
            number(
                "Between chunks",
                "s",
                percentile(0.5, series.BETWEEN_CHUNKS, window=CHOSEN),
                "Median of the mean time between the chunks of a streamed call.",
                none="no streams",
                width=4,
            ),
            number(
                "Cached input",
                "percentunit",
                part(series.CACHED, series.INPUT, window=CHOSEN),
                "Input tokens that providers say they read from their caches, of all input tokens.",
                none="not told",
                width=4,
            ),
            number(
                "Reasoning",
                "percentunit",
                part(series.REASONING, series.OUTPUT, window=CHOSEN),
                "Output tokens that providers say went into reasoning, of all output tokens.",
                none="not told",
                width=4,
            ),
        ],
    )


def _first_chunk() -> Row:
    return Row(
        "Time to first chunk",
        [
            heat(
                "Time to first chunk",
                "s",
                buckets(series.FIRST_CHUNK),
                "How many streamed calls waited how long for something to appear. Darker is more.",
                none="no streamed calls",
            ),
            lines(
                "Time to first chunk by model",
                "s",
                {BY_MODEL: percentile(0.95, series.FIRST_CHUNK, MODEL), OBJECTIVE: f"vector(${_FIRST_CHUNK})"},
                "p95: in 19 of 20 streamed calls something had appeared by then.",
                none="no streamed calls",
                joined=True,
            ),
        ],
    )


def _duration() -> Row:
    return Row(
        "Duration",
        [
            heat(
                "Duration",
                "s",
                buckets(series.DURATION),
                "How many calls took how long, from the request's arrival to the reply's last byte. Darker is more.",
                none="no calls",
            ),
            lines(
                "Duration by model",
                "s",
                {BY_MODEL: percentile(0.95, series.DURATION, MODEL), OBJECTIVE: f"vector(${_DURATION})"},
                "p95: 19 of 20 calls were done by then.",
                joined=True,
            ),
        ],
    )


def _streams() -> Row:
    return Row(
        "Speed",
        [
            heat(
                "Output speed",
                "short",
                buckets(series.SPEED),
                "How many calls wrote how many output tokens per second, waiting included. Darker is more.",
                none="no calls",
            ),
            lines(
                "Output speed by model",
                "short",
                {BY_MODEL: percentile(0.5, series.SPEED, MODEL)},
                "Median output tokens per second over whole calls, waiting included.",
                joined=True,
            ),
            heat(
                "Time per output chunk",
                "s",
                buckets(series.BETWEEN_CHUNKS),
                "How many streamed calls flowed how smoothly: the mean time between chunks after the first.",
                none="no streamed calls",
            ),
            lines(
                "Time per output chunk by model",
                "s",
                {BY_MODEL: percentile(0.5, series.BETWEEN_CHUNKS, MODEL)},
                "Median of the mean time between the chunks of a streamed call.",
                none="no streamed calls",
                joined=True,
            ),
        ],
    )


def _tokens() -> Row:
    each = {kind: f'gen_ai_token_type="{kind}"' for kind in ("input", "output")}
    return Row(
        "Tokens",
        [
            distribution(
                "Input tokens of a call, at most",
                buckets(series.TOKENS, CHOSEN, each["input"]),
                "How many calls of the chosen time had how long a prompt. Each bar goes up to four times the last.",
            ),
            distribution(
                "Output tokens of a call, at most",
                buckets(series.TOKENS, CHOSEN, each["output"]),
                "How many calls of the chosen time had how long an answer, reasoning included.",
            ),
            lines(
                "Cached input by model",
                "percentunit",
                {BY_MODEL: part(series.CACHED, series.INPUT, MODEL)},
                "Input tokens that the provider says it read from its cache, of the model's input tokens.",
                none="no provider tells",
                joined=True,
                top=1,
            ),
            lines(
                "Reasoning by model",
                "percentunit",
                {BY_MODEL: part(series.REASONING, series.OUTPUT, MODEL)},
                "Output tokens that the provider says went into reasoning, of the model's output tokens.",
                none="no provider tells",
                joined=True,
                top=1,
            ),
        ],
    )


def _table() -> Row:
    calls = growth(series.REQUESTS, MODEL, window=CHOSEN)
    streamed = growth(series.REQUESTS, MODEL, window=CHOSEN, where='gen_ai_request_stream="true"')
    return Row(
        "Models",
        [
            columns(
                "Models",
                {MODEL: "Model"},
                {
                    "Calls": ("short", total(series.REQUESTS, MODEL)),
                    "Failed": ("percentunit", failed(MODEL)),
                    "Streamed": ("percentunit", share(f"{streamed} or 0 * {calls}", calls)),
                    "Duration, p50": ("s", percentile(0.5, series.DURATION, MODEL, window=CHOSEN)),
                    "Duration, p95": ("s", percentile(0.95, series.DURATION, MODEL, window=CHOSEN)),
                    "First chunk, p95": ("s", percentile(0.95, series.FIRST_CHUNK, MODEL, window=CHOSEN)),
                    "Tokens/s, p50": ("short", percentile(0.5, series.SPEED, MODEL, window=CHOSEN)),
                },
                "How each model did in the chosen time. Its name leads to its calls.",
                width=24,
            )
        ],
    )
