"""Money is the same to the last digit in rows, daily sums and counters and, as a float, on /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import reduce
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llmtoken import audit, config, pricing
from llmtoken.audit import Audit, Filter
from llmtoken.metrics import Metrics
from llmtoken.rates import OwnPrice
from llmtoken.reading import read
from llmtoken.totals import EXACT, plus_cost
from support import recordings


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    metrics = Metrics(max_models=50, max_consumers=5, instance="test")
    yield metrics
    metrics.close()


@pytest.fixture
def store(tmp_path: Path, metrics: Metrics) -> Iterator[Audit]:
    """Every recorded call, under the names that metrics give them."""
    settings = config.Settings()
    with audit.open(str(tmp_path / "llmtoken.db")) as store:
        metrics.show(lambda: store.counters, began=store.counters_began)
        store.write([read(recording.report, settings).record for recording in recordings.load()], metrics.labels)
        yield store


def total(costs: Iterator[Decimal | None]) -> Decimal:
    return reduce(plus_cost, costs, Decimal(0)) or Decimal(0)


def in_rows(store: Audit) -> Decimal:
    return total(Decimal(call["cost"]) for call in store.every() if call["cost"] is not None)


def in_usage(store: Audit, *groups: str) -> Decimal:
    rows = store.usage(Filter(), groups)
    return total(Decimal(row["cost"]) for row in rows if row["cost"] is not None)


def test_rows_usage_and_counters_have_the_same_sum(store: Audit) -> None:
    expected = in_rows(store)
    assert expected > 0
    assert total(sums.cost for sums in store.counters.values()) == expected
    for groups in ([], ["day"], ["month", "model"], ["provider", "consumer"]):
        assert in_usage(store, *groups) == expected


def test_metrics_show_the_float_that_is_nearest_to_the_sum_of_each_series(store: Audit, metrics: Metrics) -> None:
    by_labels: dict[tuple[str, ...], Decimal] = {}
    for labels, sums in store.counters.items():
        if sums.cost is not None:
            by_labels[labels[:4]] = EXACT.add(by_labels.get(labels[:4], Decimal(0)), sums.cost)
    names = ("operation_name", "provider_name", "request_model", "response_model")
    shown = {
        tuple(sample.labels.get(f"gen_ai_{name}", "") for name in names): sample.value
        for family in text_string_to_metric_families(metrics.exposition(None)[0].decode())
        for sample in family.samples
        if sample.name == "llmtoken_cost_usd_total"
    }
    assert shown == {labels: float(cost) for labels, cost in by_labels.items()}


def test_corrected_rows_and_usage_have_the_same_sum_and_the_counters_differ_by_what_is_noted(store: Audit) -> None:
    before = in_rows(store)
    own = (OwnPrice(model="gpt*", input_per_million="1.23456789", output_per_million="9.87654321"),)

    def price(row: object) -> tuple[Decimal, str] | None:
        found = pricing.price_of_call(row, own)
        return (found.amount, found.version) if found else None

    store.reprice(Filter(), price)
    after = in_rows(store)
    assert after != before
    assert in_usage(store, "day", "model") == after
    assert total(sums.cost for sums in store.counters.values()) == before
    balance = store.verify()
    assert balance.balanced
    assert EXACT.add(before, Decimal(balance.repriced)) == after
