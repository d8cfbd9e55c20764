"""The start page's numbers are the sums of the calls of those days."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from llmtoken import audit
from llmtoken.browse.overview import overview
from support.records import record

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)


def tiles(shown: dict) -> dict[str, tuple[str, str]]:  # type: ignore[type-arg]
    return {tile["name"]: (tile["value"], tile["note"]) for tile in shown["tiles"]}


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "audit.db")


def test_the_sums_of_the_days(database: str) -> None:
    with audit.open(database) as store:
        store.write(
            [
                record("a", started_at=NOW, input_tokens=1_500_000, cost=Decimal("0.10"), error_type="timeout"),
                record("b", started_at=NOW - timedelta(days=6), input_tokens=500_000, cost=Decimal("1234.05")),
                record("c", started_at=NOW - timedelta(days=6), input_tokens=None, cost=None, usage_source="estimated"),
                record("d", started_at=NOW - timedelta(days=6, hours=16), input_tokens=7, cost=Decimal(99)),
            ]
        )
        shown = overview(store, 7, now=NOW)
    assert tiles(shown) == {
        "calls": ("3", "33.3 % failed"),
        "tokens in": ("2M", "0.0 % read from caches"),
        "tokens out": ("60", "0.0 % reasoning"),
        "cost": ("$1,234.15", "1 calls have no known price"),
        "estimated": ("33.3 %", "calls whose tokens we counted ourselves"),
    }
    assert "2026-03-04: input tokens 500k, output tokens 40" in shown["tokens"]
    assert "2026-03-05: input tokens –, output tokens –" in shown["tokens"]  # noqa: RUF001


def test_an_audit_without_calls_has_a_start_page(database: str) -> None:
    with audit.open(database) as store:
        shown = overview(store, 30, now=NOW)
    assert tiles(shown)["calls"] == ("0", "")
    assert tiles(shown)["cost"][0] == "–"  # noqa: RUF001
    assert "Nothing to draw yet." in shown["tokens"]
