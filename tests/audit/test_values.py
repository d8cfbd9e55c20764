"""Whatever is in a record, it can be stored, and its neighbours with it."""

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from llmtoken import audit
from llmtoken.audit import Audit, values
from llmtoken.call import Call
from support.records import new, record


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("plain", "plain"),
        ("nul \0 inside", "nul \ufffd inside"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("other half \udfff", "other half \ufffd"),
        ("a pair \ud83d\ude00 joined", "a pair 😀 joined"),
        ("both \0\ud800 é", "both \ufffd\ufffd é"),
    ],
)
def test_text_keeps_all_that_can_be_kept(store: Audit, given: str, stored: str) -> None:
    store.write([record(response_body=given, consumer=given)])
    found = store.call("request-1", bodies=True) or {}
    assert (found["response_body"], found["consumer"]) == (stored, stored)


def test_a_call_is_found_by_the_request_id_that_it_was_sent_with(store: Audit) -> None:
    odd = "odd \0\ud800 " + "x" * 600
    store.write([record(odd)])
    assert store.call(odd)
    assert new(store.write([record(odd)])) == [False]


def test_a_long_name_is_cut_and_a_body_is_not(store: Audit) -> None:
    store.write([record(request_model="m" * 10_000, path="/" + "p" * 10_000, response_body="b" * 1_000_000)])
    found = store.call("request-1", bodies=True) or {}
    assert [len(found[name]) for name in ("request_model", "path", "response_body")] == [512, 8192, 1_000_000]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (2**40, 2**40),
        (2**40 + 1, None),
        (-(2**70), None),
        (12.0, 12),
        (float("nan"), None),
        ("twelve", None),
        ([], None),
    ],
)
def test_a_count_without_meaning_is_unknown(store: Audit, given: Any, stored: int | None) -> None:
    store.write([record(input_tokens=given)])
    assert (store.call("request-1") or {})["input_tokens"] == stored


def test_the_largest_counts_can_be_summed(store: Audit) -> None:
    store.write([record(f"r{n}", input_tokens=values.LARGEST) for n in range(1000)])
    assert store.totals()["input_tokens"] == 1000 * values.LARGEST


@pytest.mark.parametrize(
    ("given", "stored"), [(1.5, 1.5), (float("nan"), None), (float("inf"), None), (10**400, None), ("fast", None)]
)
def test_a_duration_without_meaning_is_unknown(store: Audit, given: Any, stored: float | None) -> None:
    store.write([record(duration=given, tokens_per_second=given)])
    found = store.call("request-1") or {}
    assert (found["duration"], found["tokens_per_second"]) == (stored, stored)


@pytest.mark.parametrize("given", ["NaN", "sNaN", "Infinity", "1E+15", "1E-31", "-1E+999999", "1E-999999"])
def test_a_cost_without_meaning_is_unknown(store: Audit, given: str) -> None:
    store.write([record(cost=Decimal(given))])
    assert (store.call("request-1") or {})["cost"] is None


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05.000000Z"),  # noqa: DTZ001 - that is the point
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), "0001-01-01T00:00:00.000000Z"),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))), "9999-12-31T23:59:59.999999Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_any_moment_can_be_stored(store: Audit, given: datetime, stored: str) -> None:
    store.write([record(started_at=given)])
    assert (store.call("request-1") or {})["started_at"] == stored


TEXT = st.text(st.characters(codec=None), max_size=50)
NUMBER = st.one_of(st.none(), st.integers(), st.floats(), st.just(2**64))
ODD: dict[str, st.SearchStrategy[Any]] = {
    "started_at": st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
    "finish_reasons": st.lists(TEXT, max_size=3).map(tuple),
    "labels": st.dictionaries(TEXT, TEXT, max_size=3),
    "details": st.dictionaries(TEXT, TEXT | NUMBER.filter(lambda number: number is not None), max_size=3),
    "cost": st.one_of(st.none(), st.decimals()),
    "stream": st.booleans(),
    "request_truncated": st.one_of(st.none(), st.booleans()),
    "response_truncated": st.one_of(st.none(), st.booleans()),
    "request_id": TEXT,
    "usage_source": TEXT,
    **{field.name: NUMBER for field in fields(Call) if field.type in {"int | None", "float | None", "float"}},
}
ODD |= {field.name: st.one_of(st.none(), TEXT) for field in fields(Call) if field.name not in ODD}


@pytest.fixture(scope="module")
def shared_store() -> Iterator[Audit]:
    with tempfile.TemporaryDirectory() as folder, audit.open(str(Path(folder) / "audit.db")) as store:
        yield store


@settings(deadline=None, max_examples=200)
@given(changes=st.fixed_dictionaries({}, optional=ODD), request_body=TEXT, response_body=TEXT)
def test_no_record_whatever_stops_its_neighbours(
    shared_store: Audit, changes: dict[str, Any], request_body: str, response_body: str
) -> None:
    before = shared_store.count()
    odd = record(**({"request_id": f"odd-{before}"} | changes), request_body=request_body, response_body=response_body)
    stored = shared_store.write([record(f"left-{before}"), odd, record(f"right-{before}")])
    assert new([stored[0], stored[2]]) == [True, True]
    found = shared_store.call(odd.call.request_id, bodies=True)
    assert found is not None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    shared_store.totals()
