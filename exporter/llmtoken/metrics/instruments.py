"""The instruments, declared once: name, kind, unit, attributes, buckets, meaning.

Attribute names are the OpenTelemetry semantic conventions' where they have one, and
`llmtoken.*` where they have none. Prometheus shows every dot as an underscore.
Knows nothing of how they are recorded.
Source: https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-metrics.md
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
STREAM = "gen_ai.request.stream"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - the tokens that models are paid in
ERROR_TYPE = "error.type"
STATUS_CODE = "http.response.status_code"
USAGE_SOURCE = "llmtoken.usage.source"
CONSUMER = "llmtoken.consumer"
ABORTED = "llmtoken.aborted"
OUTCOME = "llmtoken.report.outcome"
PROBLEM = "llmtoken.parse.problem"
DIMENSION = "llmtoken.dimension"
REASON = "reason"
RULE = "llmtoken.redaction.rule"

OUTCOMES = ("accepted", "duplicate", "rejected")

SUBJECT = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL)
"""What every measurement of a call carries, so that all of them can be filtered alike."""

ATTRIBUTES = {
    OPERATION: "What was asked for: `chat`, `text_completion`, `embeddings`, …",
    PROVIDER: "Who speaks this API: `openai`, `anthropic`, `aws.bedrock`, …",
    REQUEST_MODEL: "The model that the client asked for; `_other` beyond `max_models` distinct names.",
    RESPONSE_MODEL: "The model that the reply names; `_other` beyond `max_models` distinct names.",
    STREAM: "`true` when the reply was streamed.",
    TOKEN_TYPE: "`input` or `output`.",
    ERROR_TYPE: "The provider's own class of error, or the HTTP status; empty when the call went well.",
    STATUS_CODE: "The HTTP status that the client got.",
    USAGE_SOURCE: "`reported` by the provider, `estimated` by us, `partial` (cut, what had arrived), `unknown`.",
    CONSUMER: "Who called, from a header or as a keyed hash of the API key; `_other` beyond `max_consumers`.",
    ABORTED: "Who cut the call short: `client` or `upstream`; empty when nobody did.",
    OUTCOME: "`accepted`, `duplicate` (already stored, counted once) or `rejected`.",
    PROBLEM: "What could not be understood, from a small fixed vocabulary.",
    DIMENSION: "Which attribute's names ran over: `model`, `consumer`, `provider`, `operation`, `error`, `problem`.",
    REASON: "Why a report was lost, from a small fixed vocabulary: see docs/report.md. `unknown` when its plugin "
    "didn't say, `other` when it said something that we don't know.",
    RULE: "Which rule found something: a name of docs/privacy.md, or one of `redact_patterns`.",
}
"""Every attribute with its meaning. Unknown values leave the attribute out."""

Kind = Literal["counter", "histogram", "gauge"]

_SUFFIX = {"s": "seconds", "By": "bytes", "usd": "usd", "{token}/s": "per_second"}


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One instrument. `unit` is UCUM, `buckets` are upper bounds in that unit."""

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    example: str
    """A question and the PromQL that answers it, as `question: query`."""

    @cached_property
    def prometheus(self) -> str:
        """The name on `/metrics`; a histogram's series add `_bucket`, `_sum` and `_count`."""
        name = self.name.replace(".", "_")
        if self.suffix:
            name = f"{name.removesuffix(f'_{self.suffix}')}_{self.suffix}"
        return name + ("_total" if self.kind == "counter" else "")

    @property
    def suffix(self) -> str:
        """What the name says of the unit; nothing where it is only counted."""
        return _SUFFIX.get(self.unit, "")


_TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
_SECOND_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)

TOKEN_USAGE = Instrument(
    name="gen_ai.client.token.usage",
    kind="histogram",
    unit="{token}",
    description="Input and output tokens of one call, where they are known.",
    attributes=(*SUBJECT, TOKEN_TYPE),
    buckets=_TOKEN_BUCKETS,
    example="Typical prompt size: histogram_quantile(0.5, sum by (le) "
    '(rate(gen_ai_client_token_usage_bucket{gen_ai_token_type="input"}[1h])))',
)
DURATION = Instrument(
    name="gen_ai.client.operation.duration",
    kind="histogram",
    unit="s",
    description="Time from the request's arrival at the proxy to the reply's last byte.",
    attributes=(*SUBJECT, ERROR_TYPE),
    buckets=(*_SECOND_BUCKETS, 163.84, 327.68, 655.36),
    example="95th percentile by model: histogram_quantile(0.95, sum by (le, gen_ai_request_model) "
    "(rate(gen_ai_client_operation_duration_seconds_bucket[5m])))",
)
TIME_TO_FIRST_CHUNK = Instrument(
    name="gen_ai.client.operation.time_to_first_chunk",
    kind="histogram",
    unit="s",
    description="Time from the request's arrival at the proxy to the first chunk of a streamed reply.",
    attributes=SUBJECT,
    buckets=_SECOND_BUCKETS,
    example="Share that started within 1.28 s: "
    'sum(rate(gen_ai_client_operation_time_to_first_chunk_seconds_bucket{le="1.28"}[5m])) '
    "/ sum(rate(gen_ai_client_operation_time_to_first_chunk_seconds_count[5m]))",
)
TIME_PER_OUTPUT_CHUNK = Instrument(
    name="gen_ai.client.operation.time_per_output_chunk",
    kind="histogram",
    unit="s",
    description="Mean time between the chunks of one streamed reply, after the first.",
    attributes=SUBJECT,
    buckets=(0.0025, 0.005, *_SECOND_BUCKETS),
    example="How smoothly text flows: histogram_quantile(0.9, sum by (le) "
    "(rate(gen_ai_client_operation_time_per_output_chunk_seconds_bucket[5m])))",
)

_USAGE = (*SUBJECT, USAGE_SOURCE, CONSUMER)

INPUT_TOKENS = Instrument(
    name="gen_ai.client.inference.usage.input_tokens",
    kind="counter",
    unit="{token}",
    description="Input tokens, cached ones and tool-use prompts included.",
    attributes=_USAGE,
    example="By consumer today: sum by (llmtoken_consumer) "
    "(increase(gen_ai_client_inference_usage_input_tokens_total[24h]))",
)
OUTPUT_TOKENS = Instrument(
    name="gen_ai.client.inference.usage.output_tokens",
    kind="counter",
    unit="{token}",
    description="Output tokens, reasoning included.",
    attributes=_USAGE,
    example="Tokens per second by model: sum by (gen_ai_request_model) "
    "(rate(gen_ai_client_inference_usage_output_tokens_total[5m]))",
)
CACHE_READ_TOKENS = Instrument(
    name="gen_ai.client.inference.usage.cache_read.input_tokens",
    kind="counter",
    unit="{token}",
    description="Input tokens that the provider read from its cache; part of the input tokens.",
    attributes=_USAGE,
    example="Cached share: sum(rate(gen_ai_client_inference_usage_cache_read_input_tokens_total[1h])) "
    "/ sum(rate(gen_ai_client_inference_usage_input_tokens_total[1h]))",
)
CACHE_WRITE_TOKENS = Instrument(
    name="gen_ai.client.inference.usage.cache_write.input_tokens",
    kind="counter",
    unit="{token}",
    description="Input tokens that the provider wrote to its cache; part of the input tokens.",
    attributes=_USAGE,
    example="Written to caches by model: sum by (gen_ai_request_model) "
    "(increase(gen_ai_client_inference_usage_cache_write_input_tokens_total[1h]))",
)
REASONING_TOKENS = Instrument(
    name="gen_ai.client.inference.usage.reasoning.output_tokens",
    kind="counter",
    unit="{token}",
    description="Output tokens spent on reasoning; part of the output tokens.",
    attributes=_USAGE,
    example="Reasoning share: sum(rate(gen_ai_client_inference_usage_reasoning_output_tokens_total[1h])) "
    "/ sum(rate(gen_ai_client_inference_usage_output_tokens_total[1h]))",
)
REQUESTS = Instrument(
    name="llmtoken.requests",
    kind="counter",
    unit="{request}",
    description="Calls that passed the proxy and were stored, whether understood or not.",
    attributes=(*SUBJECT, STREAM, STATUS_CODE, ERROR_TYPE, ABORTED, USAGE_SOURCE),
    example='Error ratio: sum(rate(llmtoken_requests_total{error_type!=""}[5m])) / '
    "sum(rate(llmtoken_requests_total[5m]))",
)
OUTPUT_SPEED = Instrument(
    name="llmtoken.output.speed",
    kind="histogram",
    unit="{token}/s",
    description="Output tokens per second over the whole call, as its client felt it.",
    attributes=SUBJECT,
    buckets=(1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 200.0, 350.0, 500.0, 1000.0, 2000.0),
    example="Median speed by model: histogram_quantile(0.5, sum by (le, gen_ai_request_model) "
    "(rate(llmtoken_output_speed_per_second_bucket[5m])))",
)
COST = Instrument(
    name="llmtoken.cost",
    kind="counter",
    unit="usd",
    description="Cost in US dollars of the calls that have a price.",
    attributes=(*SUBJECT, CONSUMER),
    example="Spent today by model: sum by (gen_ai_request_model) (increase(llmtoken_cost_usd_total[24h]))",
)
UNPRICED = Instrument(
    name="llmtoken.unpriced.requests",
    kind="counter",
    unit="{request}",
    description="Calls that used tokens but have no known price.",
    attributes=SUBJECT,
    example="Models without a price: sum by (gen_ai_provider_name, gen_ai_request_model) "
    "(increase(llmtoken_unpriced_requests_total[24h])) > 0",
)

REPORTS = Instrument(
    name="llmtoken.reports",
    kind="counter",
    unit="{report}",
    description="Reports that reached the collector, by what became of them.",
    attributes=(OUTCOME,),
    example="Reports a second: sum by (llmtoken_report_outcome) (rate(llmtoken_reports_total[5m]))",
)
PLUGIN_DROPPED = Instrument(
    name="llmtoken.plugin.dropped",
    kind="counter",
    unit="{report}",
    description="Reports that plugins had no room for, by their own account.",
    attributes=(REASON,),
    example="Calls that plugins lost: sum(increase(llmtoken_plugin_dropped_total[1h])) "
    "+ sum(increase(llmtoken_plugin_failed_total[1h]))",
)
PLUGIN_FAILED = Instrument(
    name="llmtoken.plugin.failed",
    kind="counter",
    unit="{report}",
    description="Reports that plugins had queued and gave up, by their own account.",
    attributes=(REASON,),
    example="Given up in the last hour: sum by (reason) (increase(llmtoken_plugin_failed_total[1h])) > 0",
)
MISSING_REPORTS = Instrument(
    name="llmtoken.plugin.missing_reports",
    kind="counter",
    unit="{report}",
    description="Reports that plugins made, that did not arrive in time, and that no plugin says it lost.",
    example="Missing now: llmtoken_plugin_missing_reports_total - llmtoken_plugin_late_reports_total",
)
LATE_REPORTS = Instrument(
    name="llmtoken.plugin.late_reports",
    kind="counter",
    unit="{report}",
    description="Missing reports that turned up after all: they arrived, or their plugin said that it lost them.",
    example="Turned up in the last hour: increase(llmtoken_plugin_late_reports_total[1h])",
)
PARSE_FAILURES = Instrument(
    name="llmtoken.parse.failures",
    kind="counter",
    unit="{failure}",
    description="Things in stored reports, and ledgers of plugins, that could not be understood.",
    attributes=(PROBLEM,),
    example="What providers changed: sum by (llmtoken_parse_problem) (increase(llmtoken_parse_failures_total[1h])) > 0",
)
REDACTIONS = Instrument(
    name="llmtoken.redactions",
    kind="counter",
    unit="{finding}",
    description="Findings that were taken out of calls before they were stored, such as API keys in prompts.",
    attributes=(RULE,),
    example="What clients send that they shouldn't: sum by (llmtoken_redaction_rule) "
    "(increase(llmtoken_redactions_total[24h])) > 0",
)
REDACTION_FAILURES = Instrument(
    name="llmtoken.redaction.failures",
    kind="counter",
    unit="{call}",
    description="Calls of which only the numbers were stored, because something in their texts could not be redacted.",
    example="Whether any lost its texts: increase(llmtoken_redaction_failures_total[1h]) > 0",
)
ESTIMATE_RATIO = Instrument(
    name="llmtoken.estimate.ratio",
    kind="histogram",
    unit="1",
    description="Our estimate over the reported tokens, on a sample of calls that had both: 1 is exact.",
    attributes=(*SUBJECT, TOKEN_TYPE),
    buckets=(0.25, 0.5, 0.75, 0.9, 0.95, 0.97, 0.99, 1.01, 1.03, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0),
    example="Models whose estimates are off by more than 10%: abs(1 - histogram_quantile(0.5, sum by "
    "(le, gen_ai_request_model, gen_ai_token_type) (rate(llmtoken_estimate_ratio_bucket[1d])))) > 0.1",
)
OVERFLOW = Instrument(
    name="llmtoken.overflow",
    kind="counter",
    unit="{name}",
    description="Names that were counted as _other because their dimension had reached its limit.",
    attributes=(DIMENSION,),
    example="Limits that are too low: increase(llmtoken_overflow_total[1h]) > 0",
)
TOKENIZER_FAILURES = Instrument(
    name="llmtoken.tokenizer.failures",
    kind="counter",
    unit="{file}",
    description="Files of the setting `tokenizers` that turned out unusable; their models are counted without them.",
    example="Whether a tokenizer.json is broken: llmtoken_tokenizer_failures_total > 0",
)
OTLP_FAILURES = Instrument(
    name="llmtoken.otlp.failures",
    kind="counter",
    unit="{push}",
    description="Pushes of these metrics over OTLP that were not taken.",
    example="Pushes that failed: increase(llmtoken_otlp_failures_total[1h]) > 0",
)
COMMIT_DURATION = Instrument(
    name="llmtoken.commit.duration",
    kind="histogram",
    unit="s",
    description="Time that one transaction of the audit took.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    example="Slow disk: histogram_quantile(0.99, rate(llmtoken_commit_duration_seconds_bucket[5m]))",
)
COMMIT_ROWS = Instrument(
    name="llmtoken.commit.rows",
    kind="counter",
    unit="{row}",
    description="Calls written to the audit.",
    example="Calls a transaction: rate(llmtoken_commit_rows_total[5m]) "
    "/ rate(llmtoken_commit_duration_seconds_count[5m])",
)
COMMIT_FAILURES = Instrument(
    name="llmtoken.commit.failures",
    kind="counter",
    unit="{transaction}",
    description="Transactions of the audit that failed; their reports were refused, so plugins send them again.",
    example="Whether the database takes nothing: increase(llmtoken_commit_failures_total[5m]) > 0",
)
LAST_COMMIT = Instrument(
    name="llmtoken.commit.last.timestamp",
    kind="gauge",
    unit="s",
    description="When the audit was last written to, in Unix time; absent before the first time.",
    example="Time since the last row: time() - llmtoken_commit_last_timestamp_seconds",
)
QUEUE_REFUSALS = Instrument(
    name="llmtoken.queue.refusals",
    kind="counter",
    unit="{request}",
    description="Requests with reports that found no room, and were told to come again.",
    example="Whether too much comes: rate(llmtoken_queue_refusals_total[5m]) > 0",
)
QUEUE_REPORTS = Instrument(
    name="llmtoken.queue.reports",
    kind="gauge",
    unit="{report}",
    description="Reports that wait for the database.",
    example="Is it keeping up: max_over_time(llmtoken_queue_reports[5m])",
)
QUEUE_BYTES = Instrument(
    name="llmtoken.queue.bytes",
    kind="gauge",
    unit="By",
    description="Bytes of reports that wait for the database.",
    example="Memory held by waiting reports: llmtoken_queue_bytes",
)
QUEUE_LIMIT_REPORTS = Instrument(
    name="llmtoken.queue.limit.reports",
    kind="gauge",
    unit="{report}",
    description="Reports that may wait, `queue_reports`; beyond it plugins are told to come back.",
    example="How full the queue is: llmtoken_queue_reports / llmtoken_queue_limit_reports",
)
QUEUE_LIMIT_BYTES = Instrument(
    name="llmtoken.queue.limit",
    kind="gauge",
    unit="By",
    description="Bytes of reports that may wait, `queue_bytes`; beyond it plugins are told to come back.",
    example="How full the queue is, by size: llmtoken_queue_bytes / llmtoken_queue_limit_bytes",
)
DATABASE_BYTES = Instrument(
    name="llmtoken.database.bytes",
    kind="gauge",
    unit="By",
    description="Size of the audit database.",
    example="Growth a day: deriv(llmtoken_database_bytes[6h]) * 86400",
)
DATABASE_LIMIT_BYTES = Instrument(
    name="llmtoken.database.limit",
    kind="gauge",
    unit="By",
    description="What the audit database may hold, `retain_bytes`; absent without.",
    example="How much of it is taken: llmtoken_database_bytes / llmtoken_database_limit_bytes",
)
DISK_AVAILABLE_BYTES = Instrument(
    name="llmtoken.disk.available",
    kind="gauge",
    unit="By",
    description="Room that is left on the file system of a SQLite database; absent for PostgreSQL.",
    example="Full within a day: predict_linear(llmtoken_disk_available_bytes[6h], 86400) < 0",
)
DISK_SIZE_BYTES = Instrument(
    name="llmtoken.disk.size",
    kind="gauge",
    unit="By",
    description="Size of the file system that a SQLite database is on; absent for PostgreSQL.",
    example="Share that is free: llmtoken_disk_available_bytes / llmtoken_disk_size_bytes",
)
UNBALANCED = Instrument(
    name="llmtoken.unbalanced.series",
    kind="gauge",
    unit="{series}",
    description="Series of the counters that differed from the audit's rows when last compared; 0 is right.",
    example="Whether counters and audit agree: llmtoken_unbalanced_series == 0",
)

INSTRUMENTS = (
    TOKEN_USAGE,
    DURATION,
    TIME_TO_FIRST_CHUNK,
    TIME_PER_OUTPUT_CHUNK,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    REASONING_TOKENS,
    REQUESTS,
    OUTPUT_SPEED,
    COST,
    UNPRICED,
    REPORTS,
    PLUGIN_DROPPED,
    PLUGIN_FAILED,
    MISSING_REPORTS,
    LATE_REPORTS,
    PARSE_FAILURES,
    REDACTIONS,
    REDACTION_FAILURES,
    ESTIMATE_RATIO,
    OVERFLOW,
    TOKENIZER_FAILURES,
    OTLP_FAILURES,
    COMMIT_DURATION,
    COMMIT_ROWS,
    COMMIT_FAILURES,
    LAST_COMMIT,
    QUEUE_REFUSALS,
    QUEUE_REPORTS,
    QUEUE_LIMIT_REPORTS,
    QUEUE_BYTES,
    QUEUE_LIMIT_BYTES,
    DATABASE_BYTES,
    DATABASE_LIMIT_BYTES,
    DISK_AVAILABLE_BYTES,
    DISK_SIZE_BYTES,
    UNBALANCED,
)
"""Every instrument, in the order of docs/metrics.md."""
