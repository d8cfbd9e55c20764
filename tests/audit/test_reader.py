"""What comes back is what went in, ready for JSON."""

import json
import random
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from msgspec.structs import fields

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.call import Call
from llmtoken.errors import StorageUnavailable
from support.records import record

NAMES = [field.name for field in fields(Call) if field.name != "details"]
"""What a call shows unasked: the names of DESIGN §5, which programs rely on."""


def test_a_call_has_exactly_the_fields_of_call_in_their_order(store: Audit) -> None:
    store.write([record()])
    assert list(store.call("request-1") or {}) == NAMES


def test_details_come_only_when_asked_for(store: Audit) -> None:
    details = {"service_tier": "flex", "input_image_tokens": 765, "longest_stall": 0.25}
    store.write([record(details=details)])
    found = store.call("request-1", details=True, bodies=True) or {}
    assert list(found) == [*NAMES, "details", "request_body", "response_body"]
    assert found["details"] == details


def test_a_number_without_meaning_is_left_out_of_the_details(store: Audit) -> None:
    store.write([record(details={"pages": 2**60, "audio_seconds": float("nan"), "service_tier": "flex"})])
    assert (store.call("request-1", details=True) or {})["details"] == {"service_tier": "flex"}


def test_bodies_come_only_when_asked_for(store: Audit) -> None:
    store.write([record()])
    found = store.call("request-1", bodies=True) or {}
    assert list(found) == [*NAMES, "request_body", "response_body"]
    assert (found["request_body"], found["response_body"]) == ("question", "answer")


def test_a_call_without_bodies_has_none(store: Audit) -> None:
    store.write([record(request_body=None, response_body=None)])
    found = store.call("request-1", bodies=True) or {}
    assert (found["request_body"], found["response_body"]) == (None, None)


def test_an_empty_body_stays_empty(store: Audit) -> None:
    store.write([record(request_body="", response_body=None)])
    found = store.call("request-1", bodies=True) or {}
    assert (found["request_body"], found["response_body"]) == ("", None)


def test_every_value_comes_back_as_it_went_in(store: Audit) -> None:
    call = record(stream=True, finish_reasons=("stop", "length"), labels={"team": "búsqueda"}).call
    store.write([record(stream=True, finish_reasons=("stop", "length"), labels={"team": "búsqueda"})])
    expected = {name: getattr(call, name) for name in NAMES}
    expected |= {"started_at": "2026-01-02T03:04:05.000000Z", "cost": "0.00037", "finish_reasons": ["stop", "length"]}
    assert store.call("request-1") == expected


def test_what_is_unknown_comes_back_as_none(store: Audit) -> None:
    store.write([record(input_tokens=None, cost=None, consumer=None, request_truncated=None)])
    found = store.call("request-1") or {}
    assert [found[name] for name in ("input_tokens", "cost", "consumer", "request_truncated")] == [None] * 4


def test_a_call_is_ready_for_json(store: Audit) -> None:
    store.write([record()])
    found = store.call("request-1", bodies=True)
    assert json.loads(json.dumps(found)) == found


def test_time_is_shown_in_utc_whatever_zone_it_came_in(store: Audit) -> None:
    eastern = timezone(timedelta(hours=-5))
    store.write([record(started_at=datetime(2026, 1, 1, 22, 0, 0, 250_000, tzinfo=eastern))])
    assert (store.call("request-1") or {})["started_at"] == "2026-01-02T03:00:00.250000Z"


def test_cost_keeps_every_digit(store: Audit) -> None:
    exact = Decimal("1234567.000000000000000000000000000001")
    store.write([record(cost=exact)])
    assert Decimal((store.call("request-1") or {})["cost"]) == exact


def test_a_tiny_cost_is_shown_in_digits_not_in_powers_of_ten(store: Audit) -> None:
    store.write([record(cost=Decimal("1E-9"))])
    assert (store.call("request-1") or {})["cost"] == "0.000000001"


def test_an_unknown_request_id_is_nobodys(store: Audit) -> None:
    assert store.call("nobody") is None


def test_totals_are_the_sums_of_what_is_known(store: Audit) -> None:
    store.write([record("a", input_tokens=5), record("b", input_tokens=None), record("c", input_tokens=7)])
    totals = store.totals()
    assert totals["input_tokens"] == 12
    assert totals["cache_write_input_tokens"] == 0


def test_totals_name_every_column_that_counts_tokens(store: Audit) -> None:
    assert set(store.totals()) == {field.name for field in fields(Call) if field.name.endswith("_tokens")}


def test_the_count_is_the_number_of_calls(store: Audit) -> None:
    store.write([record("a"), record("b"), record("a")])
    assert store.count() == 2


def test_the_size_counts_what_is_still_in_the_log(store: Audit) -> None:
    noise = random.Random(1).randbytes(1_000_000).hex()  # that PostgreSQL can't make it smaller  # noqa: S311
    before = store.size_bytes() or 0
    store.write([record(response_body=noise)])
    assert (store.size_bytes() or 0) >= before + 1_000_000


def test_a_reader_sees_what_the_collector_has_written_so_far(store: Audit, database: str) -> None:
    with audit.open_read_only(database) as reader:
        store.write([record()])
        assert reader.count() == 1


def test_a_closed_audit_says_so(store: Audit) -> None:
    store.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        store.count()
