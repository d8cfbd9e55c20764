"""The ready-made questions: their SQL, what they mean, and which of their columns make a chart.

Datasette fills `:names` from the form above each answer; an empty one stands for the default that
the SQL gives. For SQLite alone, as Datasette is. Must not know Datasette.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from llmtoken.browse.charts import Series, bars, columns

_SINCE = "started_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || ifnull(nullif(:days, ''), 30) || ' days')"
_MOST = 10
"""Bars of a chart; the table below has all."""
_DAYS_SINCE = "day > date('now', '-' || ifnull(nullif(:days, ''), 30) || ' days')"


@dataclass(frozen=True, slots=True)
class Chart:
    """How an answer is drawn: `label` and `values` are its columns."""

    kind: Literal["columns", "bars"]
    label: str
    values: tuple[str, ...]
    unit: str = ""

    def draw(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup:
        """The chart of an answer; nothing where the answer has other columns."""
        if not rows or not {self.label, *self.values} <= set(names):
            return Markup("")
        table = [dict(zip(names, row, strict=True)) for row in rows]
        labels = ["(unknown)" if row[self.label] is None else str(row[self.label]) for row in table]
        if self.kind == "bars":
            table, labels = table[:_MOST], labels[:_MOST]
            return bars(labels, [_number(row[self.values[0]]) for row in table], unit=self.unit)
        series = [Series(name.replace("_", " "), [_number(row[name]) for row in table]) for name in self.values]
        return columns(labels, series, unit=self.unit)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `name` is its place in the address."""

    name: str
    title: str
    description: str
    sql: str
    chart: Chart | None = None


def _usage(by: str, table: str, *, order: str = "total_tokens DESC", limit: str = " LIMIT 50") -> str:
    """Of the daily sums, which are there at once however many calls there were."""
    return f"""SELECT {by},
       sum(calls) AS calls,
       sum(errors) AS errors,
       sum(input_tokens) AS input_tokens,
       sum(output_tokens) AS output_tokens,
       sum(total_tokens) AS total_tokens,
       round(sum(CAST(cost AS REAL)), 6) AS dollars,
       round(100.0 * sum(estimated_calls) / sum(calls), 1) AS percent_estimated
FROM {table}
WHERE {_DAYS_SINCE}
GROUP BY {by}
ORDER BY {order}{limit}"""  # noqa: S608 - all of it stands in this file


def _calls(order: str, *, columns: str = "", where: str = "") -> str:
    return f"""SELECT request_id, started_at, consumer, provider_name, request_model, {columns}
       input_tokens, output_tokens, CAST(cost AS REAL) AS dollars, duration, http_status, error_type, usage_source
FROM calls
WHERE {_SINCE}{where}
ORDER BY {order}
LIMIT 100"""  # noqa: S608 - likewise


_DAYS = "Of the last 30 days, or as many as you say."
_SUMS = f"{_DAYS} Days end at midnight UTC; calls that were pruned since are counted too."

QUESTIONS = (
    Question("newest_calls", "Newest calls", _DAYS, _calls("started_at DESC, id DESC")),
    Question(
        "tokens_by_day",
        "Usage by day",
        _SUMS,
        _usage("day", "daily_consumer_usage", order="day", limit=""),
        Chart("columns", "day", ("input_tokens", "output_tokens")),
    ),
    Question(
        "tokens_by_model",
        "Usage by model",
        _SUMS,
        _usage("request_model", "daily_model_usage"),
        Chart("bars", "request_model", ("total_tokens",), " tokens"),
    ),
    Question(
        "tokens_by_consumer",
        "Usage by consumer",
        _SUMS,
        _usage("consumer", "daily_consumer_usage"),
        Chart("bars", "consumer", ("total_tokens",), " tokens"),
    ),
    Question(
        "slowest_calls",
        "Slowest calls",
        _DAYS,
        _calls("duration DESC", columns="time_to_first_chunk,"),
        None,
    ),
    Question(
        "costliest_calls",
        "Costliest calls",
        f"{_DAYS} A call without a known price isn't among them.",
        _calls("dollars DESC", where=" AND cost IS NOT NULL"),
    ),
    Question(
        "errors_by_kind",
        "Errors by kind",
        _SUMS,
        f"""SELECT error_type, http_status, provider_name, request_model, sum(calls) AS calls, max(day) AS last_day
FROM daily_model_usage
WHERE {_DAYS_SINCE} AND error_type IS NOT NULL
GROUP BY error_type, http_status, provider_name, request_model
ORDER BY calls DESC
LIMIT 50""",  # noqa: S608 - likewise
        Chart("bars", "error_type", ("calls",), " calls"),
    ),
    Question("failed_calls", "Failed calls", _DAYS, _calls("started_at DESC", where=" AND error_type IS NOT NULL")),
    Question(
        "errors_by_hour",
        "Errors by hour",
        "Of the last day, or as many as you say: bursts stand out.",
        f"""SELECT substr(started_at, 1, 13) || ':00' AS hour, count(*) AS calls, count(error_type) AS errors
FROM calls
WHERE {_SINCE.replace("30", "1")}
GROUP BY substr(started_at, 1, 13)
ORDER BY hour""",  # noqa: S608 - likewise
        Chart("columns", "hour", ("errors",)),
    ),
    Question(
        "estimated_share",
        "What we counted ourselves",
        f"{_SUMS} Here are calls whose tokens the provider didn't say, or not in full, by model.",
        f"""SELECT provider_name, request_model, sum(calls) AS calls, sum(estimated_calls) AS estimated_calls,
       round(100.0 * sum(estimated_calls) / sum(calls), 1) AS percent_estimated
FROM daily_model_usage
WHERE {_DAYS_SINCE}
GROUP BY provider_name, request_model
HAVING sum(estimated_calls) > 0
ORDER BY estimated_calls DESC
LIMIT 50""",  # noqa: S608 - likewise
        Chart("bars", "request_model", ("percent_estimated",), " %"),
    ),
    Question(
        "cache_share",
        "Input read from caches",
        _SUMS,
        f"""SELECT request_model, sum(input_tokens) AS input_tokens, sum(cache_read_input_tokens) AS read_from_cache,
       round(100.0 * sum(cache_read_input_tokens) / sum(input_tokens), 1) AS percent_cached
FROM daily_model_usage
WHERE {_DAYS_SINCE}
GROUP BY request_model
HAVING sum(input_tokens) > 0
ORDER BY read_from_cache DESC
LIMIT 50""",  # noqa: S608 - likewise
        Chart("bars", "request_model", ("percent_cached",), " %"),
    ),
    Question(
        "one_consumers_day",
        "One consumer's day",
        "Every call of a consumer on a day (UTC, such as 2026-01-31; today when you leave it out): the proof of an "
        "invoice. Its sums are in the last row.",
        """WITH mine AS (
  SELECT * FROM calls
  WHERE consumer = :consumer
    AND started_at >= ifnull(nullif(:day, ''), date('now'))
    AND started_at < date(ifnull(nullif(:day, ''), date('now')), '+1 day')
)
SELECT request_id, started_at, provider_name, request_model, input_tokens, output_tokens, total_tokens, usage_source,
       cost
FROM mine
UNION ALL
SELECT NULL, 'all', NULL, NULL, sum(input_tokens), sum(output_tokens), sum(total_tokens), NULL,
       round(sum(CAST(cost AS REAL)), 12)
FROM mine
ORDER BY started_at""",
    ),
)
