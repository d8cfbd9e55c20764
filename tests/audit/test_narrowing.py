"""Rare calls are found by where the daily sums say that they are, and the pages are the same as without."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmtoken import audit
from llmtoken.audit import Audit, Filter, Reader, Rules, narrowing
from support.databases import only_sqlite
from support.records import record

DAY = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    path = str(tmp_path_factory.mktemp("narrowing") / "audit.db")
    with audit.open(path) as store:
        store.write(
            [
                record(
                    str(number),
                    started_at=DAY + timedelta(hours=5 * (number // 2)),
                    provider_name="rare" if number % 7 == 0 else "openai",
                    request_model=None if number % 14 == 0 else f"model-{number % 3}",
                    response_model="preview" if number in (3, 100) else None,
                    http_status=None if number % 11 == 0 else 200,
                )
                for number in range(120)
            ]
        )
    with audit.open_read_only(path) as reader:
        yield reader


def found(reader: Reader, **given: Any) -> list[list[str]]:
    return [[call["request_id"] for call in page.calls] for page in reader.pages(Filter.of(**given), size=3)]


@pytest.mark.parametrize(
    "given",
    [
        {"provider": "rare"},
        {"provider": "openai"},
        {"provider": "nobody"},
        {"response_model": "preview"},
        {"provider": "rare", "status": "2xx"},
        {"provider": "rare", "error": "false", "since": DAY + timedelta(hours=30), "until": DAY + timedelta(hours=200)},
        {"status": "200", "operation": "chat"},
    ],
)
def test_the_pages_are_the_same_as_without(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    expected = found(reader, **given)
    monkeypatch.setattr(narrowing, "_BEARABLE", 0)
    assert found(reader, **given) == expected


@only_sqlite  # PostgreSQL leaves a partition whole for a day more
def test_days_whose_calls_were_pruned_are_passed_over(store: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowing, "_BEARABLE", 0)
    now = datetime.now(UTC)
    store.write([record(str(age), provider_name="rare", started_at=now - timedelta(days=age)) for age in range(9)])
    store.prune(Rules(calls=timedelta(days=4)), pause=lambda _: True)
    assert found(store, provider="rare") == [["0", "1", "2"], ["3"]]


@pytest.mark.parametrize("given", [{}, {"model": "a"}, {"consumer": "a"}, {"error": "true"}, {"status": "5xx"}])
def test_where_an_index_leads_nothing_is_narrowed(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    monkeypatch.setattr(narrowing, "_BEARABLE", 0)
    with reader._reading() as connection:
        assert narrowing.places(connection, Filter.of(**given), 1, None) is None


def test_what_is_common_is_read_by_time(reader: Reader) -> None:
    with reader._reading() as connection:
        assert narrowing.places(connection, Filter.of(provider="openai"), 3, None) is None
