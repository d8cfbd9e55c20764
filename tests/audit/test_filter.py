"""A filter takes what people write, and says how to mend what it can't read."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from llmtoken.audit import Audit, Filter
from llmtoken.errors import QueryError
from support.records import record

DAY = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-02", DAY),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-01-01T22:00:00-05:00", datetime(2026, 1, 2, 3, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", datetime(1, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 2), DAY),  # noqa: DTZ001 - that is the case
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(written: object, meant: datetime) -> None:
    assert Filter.of(since=written).since == meant


def test_an_age_is_a_time_so_long_ago() -> None:
    before = datetime.now(UTC)
    since = Filter.of(since="7d").since
    assert since is not None
    assert before <= since + timedelta(days=7) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"since": "yesterday"}, "since: 'yesterday' isn't a time: write 2026-01-31"),
        ({"until": "2026-02-30"}, "until: '2026-02-30' isn't a time"),
        ({"since": "999999w"}, "since: '999999w' isn't a time"),
        ({"status": "ok"}, "status: 'ok' isn't a status: write a number such as 429, or a class such as 5xx"),
        ({"status": "42"}, "status: '42' isn't a status"),
        ({"modle": "gpt-4o"}, "modle: Extra inputs are not permitted"),
        ({"since": "2026-01-02", "until": "2026-01-02"}, "since is not before until"),
    ],
)
def test_what_is_wrong_is_said_with_how_to_mend_it(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(QueryError) as raised:
        Filter.of(**given)
    assert raised.value.message.startswith(complaint)
    assert "since, until, model" in raised.value.hint


def test_fields_that_nobody_filled_in_ask_for_nothing() -> None:
    assert Filter.of(**dict.fromkeys(Filter.model_fields, "")) == Filter()


def test_a_filter_can_not_be_changed() -> None:
    with pytest.raises(ValidationError):
        Filter().model = "gpt-4o"  # type: ignore[misc]


def found(store: Audit, **given: object) -> set[str]:
    return {call["request_id"] for call in store.list(Filter.of(**given)).calls}


def test_since_is_within_and_until_is_not(store: Audit) -> None:
    second = timedelta(seconds=1)
    store.write([record(str(n), started_at=DAY + n * second) for n in range(4)])
    assert found(store, since=DAY + second, until=DAY + 3 * second) == {"1", "2"}


def test_status_is_a_number_or_a_class(store: Audit) -> None:
    store.write([record(str(status), http_status=status) for status in (200, 400, 429, 499, 500, None)])
    assert found(store, status="429") == found(store, status=429) == {"429"}
    assert found(store, status="4xx") == found(store, status="4XX") == {"400", "429", "499"}


def test_error_is_whether_there_was_one_or_which(store: Audit) -> None:
    store.write([record(str(error), error_type=error) for error in (None, "timeout", "rate_limit")])
    assert found(store, error="true") == found(store, error=True) == {"timeout", "rate_limit"}
    assert found(store, error="false") == {"None"}
    assert found(store, error="timeout") == {"timeout"}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("model", "request_model"),
        ("response_model", "response_model"),
        ("provider", "provider_name"),
        ("operation", "operation_name"),
        ("consumer", "consumer"),
    ],
)
def test_a_name_must_match_as_a_whole(store: Audit, name: str, column: str) -> None:
    store.write([record("1", **{column: "one"}), record("2", **{column: "one more"}), record("3", **{column: None})])
    assert found(store, **{name: "one"}) == {"1"}
    assert found(store, **{name: "(none)"}) == {"3"}


def test_everything_given_must_fit(store: Audit) -> None:
    store.write([record("1", consumer="ann", http_status=500), record("2", consumer="ann"), record("3", consumer="b")])
    assert found(store, consumer="ann", status="5xx") == {"1"}


def test_a_name_is_looked_for_as_it_would_have_been_stored(store: Audit) -> None:
    odd = "nul \0 and half a pair \ud800, " + "x" * 600
    store.write([record("1", consumer=odd)])
    assert found(store, consumer=odd) == {"1"}
