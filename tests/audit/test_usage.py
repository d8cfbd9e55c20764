"""What calls add up to, for every grouping and every filter."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from llmtoken.audit import Audit, Filter
from llmtoken.errors import QueryError
from support.records import record

DAY = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def some(store: Audit) -> Audit:
    store.write(
        [
            record("a", started_at=DAY, input_tokens=10, output_tokens=1, total_tokens=11, cost=Decimal("0.1")),
            record("b", started_at=DAY + SECOND, input_tokens=20, cost=Decimal("0.2"), consumer="bob"),
            record("c", started_at=DAY + SECOND, input_tokens=5, cost=None, usage_source="estimated"),
            record("d", started_at=DAY + SECOND, error_type="timeout", http_status=504, consumer="bob", cost=None),
        ]
    )
    return store


def test_without_a_grouping_there_is_one_row_for_all(store: Audit) -> None:
    store.write(
        [
            record("a", input_tokens=10, output_tokens=None, total_tokens=10, cost=Decimal("0.1")),
            record("b", input_tokens=20, output_tokens=None, total_tokens=20, cost=Decimal("0.2")),
            record("c", error_type="timeout", input_tokens=1, output_tokens=None, total_tokens=1, cost=None),
            record("d", usage_source="partial", input_tokens=None, output_tokens=None, total_tokens=None, cost=None),
        ]
    )
    [row] = store.usage()
    assert {name: row[name] for name in ("calls", "errors", "input_tokens", "output_tokens", "total_tokens")} == {
        "calls": 4,
        "errors": 1,
        "input_tokens": 31,
        "output_tokens": None,
        "total_tokens": 31,
    }
    assert (row["cost"], row["unpriced_calls"], row["estimated_calls"]) == ("0.3", 1, 1)


def test_nothing_adds_up_to_no_calls(store: Audit) -> None:
    [row] = store.usage()
    assert (row["calls"], row["errors"], row["input_tokens"], row["cost"]) == (0, 0, None, None)
    assert store.usage(group_by=["day"]) == []


@pytest.mark.parametrize(
    ("bucket", "times"),
    [
        ("hour", ["2026-01-31T23:00:00Z", "2026-02-01T00:00:00Z"]),
        ("day", ["2026-01-31", "2026-02-01"]),
        ("month", ["2026-01", "2026-02"]),
    ],
)
def test_time_is_cut_in_utc(some: Audit, bucket: str, times: list[str]) -> None:
    found = [(row[bucket], row["calls"]) for row in some.usage(group_by=[bucket])]
    assert found == [(times[0], 1), (times[1], 3)]


def test_rows_have_their_groups_first_and_come_by_time_then_by_calls(some: Audit) -> None:
    rows = some.usage(group_by=["day", "consumer"])
    assert [list(row)[:3] for row in rows] == [["day", "consumer", "calls"]] * 3
    assert [tuple(row.values())[:3] for row in rows] == [
        ("2026-01-31", "alice", 1),
        ("2026-02-01", "bob", 2),
        ("2026-02-01", "alice", 1),
    ]


@pytest.mark.parametrize(
    ("name", "column", "one", "other"),
    [
        ("model", "request_model", "a", "b"),
        ("response_model", "response_model", "a", "b"),
        ("provider", "provider_name", "a", None),
        ("operation", "operation_name", "a", "b"),
        ("consumer", "consumer", "a", None),
        ("status", "http_status", 200, 500),
        ("error", "error_type", None, "b"),
    ],
)
def test_calls_are_grouped_by_what_they_are_filtered_by(
    store: Audit, name: str, column: str, one: object, other: object
) -> None:
    store.write([record("1", **{column: one}), record("2", **{column: other}), record("3", **{column: one})])
    assert [(row[name], row["calls"]) for row in store.usage(group_by=[name])] == [(one, 2), (other, 1)]


def test_only_what_fits_the_filter_is_added_up(some: Audit) -> None:
    [row] = some.usage(Filter.of(consumer="bob", error="false"))
    assert (row["calls"], row["input_tokens"], row["cost"]) == (1, 20, "0.2")


def test_cost_is_exact_to_the_last_digit(store: Audit) -> None:
    tiny, large = Decimal("0.000000000000000000000000000001"), Decimal(999_999_999_999_999)
    store.write([record("1", cost=tiny), record("2", cost=large), record("3", cost=tiny)])
    assert Decimal(store.usage()[0]["cost"]) == Decimal("999999999999999.000000000000000000000000000002")


@pytest.mark.parametrize(
    ("group_by", "complaint"),
    [(["weekday"], "'weekday'"), (["day", "hour"], "one length of time"), (["calls; --"], "'calls; --'")],
)
def test_a_grouping_that_is_none_is_refused(store: Audit, group_by: list[str], complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint) as raised:
        store.usage(group_by=group_by)
    assert "hour, day, month and any of model" in raised.value.hint
