"""Writes docs/metrics.md from the declarations: `python -m llmtoken.metrics.document > docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from llmtoken.metrics.instruments import ATTRIBUTES, INSTRUMENTS, Instrument
from llmtoken.metrics.names import LONGEST, OTHER
from llmtoken.metrics.recorder import SERIES

_INTRODUCTION = f"""\
# Metrics

<!-- Made by `make docs` from exporter/llmtoken/metrics/instruments.py: change that, not this. -->

`GET /metrics` on the collector answers in Prometheus' classic text, or in OpenMetrics when
the `Accept` header names it. `target_info` carries the version and the collector's name.

Names follow the [OpenTelemetry GenAI semantic conventions][semconv] where those have one;
what is ours begins with `llmtoken_`. A call is counted once, after its row is in the audit.
An unknown value is left out, never 0: a call without known tokens adds to
`llmtoken_requests_total` and to no token counter.

Counters of calls (tokens, requests, cost, unpriced, accepted reports, committed rows) are kept in the database with
the calls: after a restart or a crash they go on where they stood, so `increase()` over it is what was committed.
Histograms and the collector's other counters begin at 0 with each start.

Cached and reasoning tokens are parts of the input and output tokens: don't add them up.

For `rate()` and `increase()` a series begins with the first value that Prometheus saw, so the
first call of a new model or consumer is no increase. Bills are written from the audit.

Nothing that may never happen begins with its first time: losses, failures, refusals and problems are
shown at 0 from the start. There are no `_created` series; Prometheus would store them beside every other one.

## Fewer series

With 20 models, each used by 20 consumers, there are some 5,300 series. With the setting `metrics_detail = "lean"` there
are fewer than 2,000, and dashboards that need the others are empty there:

- cached and reasoning tokens are not divided by consumer,
- `gen_ai_client_operation_duration_seconds` and `…_time_to_first_chunk_seconds` have every second bucket,
- `gen_ai_client_operation_time_per_output_chunk_seconds` and `llmtoken_output_speed_per_second` have sum and count
  alone,
- `gen_ai_client_token_usage` and `llmtoken_estimate_ratio` are left out.

## Push over OTLP

For a Prometheus, or another backend, that can't reach the collector, the same metrics with the same numbers are pushed
as well, every minute and once more at the end. Install `llmtoken[otlp]` and set OpenTelemetry's own variables:

```sh
OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:4318   # or OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, with the path
OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20…"
OTEL_METRIC_EXPORT_INTERVAL=15000                        # milliseconds
```

Compression, timeout, certificates, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` are heeded too. The protocol is
`http/protobuf`. The resource is `service.name` = `llmtoken`, `service.version` and `service.instance.id` = the setting
`instance`, which is also how Prometheus tells collectors apart that push to it (`--web.enable-otlp-receiver`).

With `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta` only what is new is pushed, and what counters stood
at when the collector started isn't. A push that isn't taken is then lost for good; with `cumulative`, the default,
the next one makes up for it. Failures are logged once, counted in `llmtoken_otlp_failures_total`, and hold nothing up.

[semconv]: https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-metrics.md

## Labels

An unknown value is an empty label; `label=""` selects it.

- Clients choose the names of models and perhaps of consumers, so distinct names are limited by
  `max_models` and `max_consumers`. Later names count as `{OTHER}`, and in `llmtoken_overflow_total`.
  Names seen only on failed calls take no more than half of the places. Places are kept over
  restarts, like the counters. The audit has every name in full.
- Names longer than {LONGEST} characters are cut; characters that can't be printed become `\N{REPLACEMENT CHARACTER}`.
- A counter has {SERIES["counter"]} series at most, a histogram {SERIES["histogram"]}. What exceeds that is added up in
  one series with the only label `otel_metric_overflow="true"`, so sums stay right.
"""


def document() -> str:
    """The whole page, in Markdown."""
    return "\n".join([*_lines(), ""])


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield "| label | attribute | meaning |"
    yield "| --- | --- | --- |"
    for name, meaning in ATTRIBUTES.items():
        yield f"| `{_label(name)}` | `{name}` | {meaning} |"
    for instrument in INSTRUMENTS:
        yield from _section(instrument)


def _section(instrument: Instrument) -> Iterator[str]:
    question, query = instrument.example.split(": ", 1)
    yield f"\n## {instrument.prometheus}\n"
    yield f"{instrument.description}\n"
    yield f"- {instrument.kind}, OpenTelemetry `{instrument.name}`, unit `{instrument.unit}`"
    if instrument.attributes:
        yield f"- labels: {', '.join(f'`{_label(name)}`' for name in instrument.attributes)}"
    if instrument.buckets:
        yield f"- buckets: {', '.join(f'{bound:.10g}' for bound in instrument.buckets)}"
    yield f"- {question[0].lower()}{question[1:]}:\n"
    yield f"  ```promql\n  {query}\n  ```"


def _label(attribute: str) -> str:
    return attribute.replace(".", "_")


if __name__ == "__main__":
    sys.stdout.write(document())
