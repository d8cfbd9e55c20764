"""Pages of calls: nothing twice, nothing left out, whatever arrives meanwhile."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from llmtoken.audit import Audit, Filter
from llmtoken.errors import QueryError
from support.records import record

START = datetime(2026, 1, 1, tzinfo=UTC)


def pages(store: Audit, size: int, **given: object) -> list[list[str]]:
    return [[call["request_id"] for call in page.calls] for page in store.pages(Filter.of(**given), size=size)]


def test_calls_come_newest_first_also_when_they_arrived_in_another_order(store: Audit) -> None:
    store.write([record(f"r{day}", started_at=START + timedelta(days=day)) for day in (3, 1, 4, 2)])
    assert pages(store, 3) == [["r4", "r3", "r2"], ["r1"]]


def test_calls_of_the_same_moment_are_parted_by_pages_too(store: Audit) -> None:
    store.write([record(str(n)) for n in range(5)])
    assert pages(store, 2) == [["4", "3"], ["2", "1"], ["0"]]


def test_a_page_that_ends_with_the_last_call_is_the_last(store: Audit) -> None:
    store.write([record(str(n)) for n in range(4)])
    assert pages(store, 2) == [["3", "2"], ["1", "0"]]
    assert pages(store, 4, model="unheard-of") == [[]]


def test_a_call_that_arrives_meanwhile_shifts_nothing(store: Audit) -> None:
    store.write([record(str(n), started_at=START + timedelta(days=n)) for n in range(4)])
    first = store.list(limit=2)
    store.write([record("newer", started_at=START + timedelta(days=9)), record("late", started_at=START)])
    second = store.list(limit=2, cursor=first.next_cursor)
    third = store.list(limit=2, cursor=second.next_cursor)
    assert [call["request_id"] for page in (first, second, third) for call in page.calls] == [
        "3",
        "2",
        "1",
        "late",
        "0",
    ]


def test_a_cursor_outlives_the_call_it_points_at(store: Audit) -> None:
    store.write([record(str(n)) for n in range(4)])
    first = store.list(limit=2)
    with store._changing() as connection:
        connection.exec_driver_sql("DELETE FROM calls WHERE request_id = '2'")
    assert [call["request_id"] for call in store.list(cursor=first.next_cursor).calls] == ["1", "0"]


def test_a_listed_call_is_what_the_call_alone_is(store: Audit) -> None:
    store.write([record(stream=True, finish_reasons=("stop",), labels={"team": "search"})])
    assert store.list().calls == [store.call("request-1")]
    assert store.list(bodies=True).calls == [store.call("request-1", bodies=True)]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_bounds_is_refused(store: Audit, limit: int) -> None:
    with pytest.raises(QueryError, match="ask for 1 to 1000"):
        store.list(limit=limit)


FORGED = (
    "{}",
    "[]",
    '["2026-01-01T00:00:00Z"]',
    '[1, "2026-01-01T00:00:00Z"]',
    '["2026-01-01T00:00:00Z", 99999999999999999999]',
    '["2026-01-01", 1]',
    '["2026-01-01T00:00:00", 1]',
    '["0001-01-01T00:00:00+14:00", 1]',
)


@pytest.mark.parametrize(
    "cursor",
    ["", "?", "é", "abc", "a" * 5000, *(base64.urlsafe_b64encode(text.encode()).decode() for text in FORGED)],
)
def test_a_cursor_that_we_did_not_make_is_refused(store: Audit, cursor: str) -> None:
    with pytest.raises(QueryError, match="give next_cursor as it came"):
        store.list(cursor=cursor)


def test_pages_can_be_gone_on_with_later(store: Audit) -> None:
    store.write([record(str(n)) for n in range(5)])
    first = next(store.pages(size=2))
    rest = store.pages(cursor=first.next_cursor, size=2)
    assert [[call["request_id"] for call in page.calls] for page in rest] == [["2", "1"], ["0"]]
