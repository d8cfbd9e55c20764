"""The golden exposition: one example of everything that `/metrics` can show, kept in a file.

Rules and dashboards are checked against it. After a deliberate change of the metrics write it
anew with `PYTHONPATH=tests python -m support.exposition`, and read the difference.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmtoken.metrics.instruments import ATTRIBUTES
from support.calls import call, failed, streamed, without_tokens
from support.counting import Counting
from support.needs import ROOT

GOLDEN = ROOT / "tests" / "metrics" / "exposition.txt"

CALLS = [
    call(),
    call(input_tokens=50, output_tokens=5, cache_read_input_tokens=None, consumer="bob"),
    streamed(),
    streamed(aborted="client", usage_source="partial", consumer=None, cost=None, price_version=None),
    call(provider_name="self_hosted", usage_source="estimated", cost=None, request_model='say "hi"\\\n'),
    failed(),
    without_tokens(operation_name=None, provider_name=None, request_model=None, response_model=None, http_status=None),
]


WATCHED: dict[str, Callable[[], int | None]] = {
    "queue_reports": lambda: 3,
    "queue_limit_reports": lambda: 100,
    "queue_bytes": lambda: 4096,
    "queue_limit_bytes": lambda: 65536,
    "database_bytes": lambda: 1_048_576,
    "database_limit_bytes": lambda: 4_194_304,
    "disk_available_bytes": lambda: 16_777_216,
    "disk_size_bytes": lambda: 33_554_432,
    "unbalanced": lambda: 0,
    "tokenizer_failures": lambda: 0,
}
"""What `Metrics.watch` is given."""


@contextmanager
def filled() -> Iterator[Counting]:
    """Metrics with the example calls and everything else recorded."""
    metrics = Counting(max_models=5, max_consumers=2)
    try:
        metrics.watch(**WATCHED)
        metrics.record(CALLS)
        metrics.record([call(request_model="one-too-many", consumer="carol")])
        metrics.reports(accepted=8, duplicates=2, rejected=1)
        metrics.parse_failures("not_json")
        metrics.redacted({"email": 2, "openai_key": 1}, failures=1)
        metrics.estimated(CALLS[0], "output", 0.98)
        metrics.losses = {("dropped", "queue_full"): 3, ("dropped", "unknown"): 1, ("failed", "unknown"): 2}
        metrics.committed(0.02, 8)
        yield metrics
    finally:
        metrics.close()


def example(accept: str | None = None) -> str:
    """What they look like; what differs from run to run is made the same."""
    with filled() as metrics:
        text = metrics.exposition(accept)[0].decode()
    text = re.sub(r'service_version="[^"]*"', 'service_version="x"', text)
    return re.sub(r"(?m)^(llmtoken_commit_last_timestamp_seconds) .*$", r"\1 1.7e+09", text)


def shown() -> set[str]:
    """Names of all series in the golden exposition."""
    return set(re.findall(r"(?m)^([a-z_]+)(?=[ {])", GOLDEN.read_text("utf-8")))


def asked_for(query: str) -> set[str]:
    """Names of our series in a PromQL query; recorded ones (`llmtoken:…`) too."""
    words = set(re.findall(r"[a-z_][a-z0-9_:]*", re.sub(r'"[^"]*"', "", query)))
    labels = {attribute.replace(".", "_") for attribute in ATTRIBUTES}
    return {word for word in words - labels if word.startswith(("gen_ai_", "llmtoken"))}


if __name__ == "__main__":
    GOLDEN.write_text(example(), "utf-8")
