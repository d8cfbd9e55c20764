"""A reply's tokens belong to one call, however often it is fetched and in whatever order the reports come."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import asdict
from sqlalchemy import inspect

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.call import Call, Record
from support.calls import CALL, without_tokens
from support.databases import only_sqlite
from support.records import new, record

START = datetime(2026, 1, 1, tzinfo=UTC)
ONCE = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "cache_read_input_tokens": 64}


def made(request_id: str, at: float = 0.0, **changes: Any) -> Record:
    """A call that generates the reply, with its usage."""
    return record(request_id, **{"response_id": "resp_1", "started_at": START + timedelta(seconds=at), **changes})


def fetched(request_id: str, at: float = 1.0, **changes: Any) -> Record:
    """A call that fetches the same reply, with the same usage."""
    return _fetching(made(request_id, at, **{"method": "GET", "tokens_per_second": None, **changes}).call)


def polled(request_id: str, at: float = 1.0) -> Record:
    """A call that asks for the reply before it is done."""
    call = without_tokens(request_id=request_id, response_id="resp_1", started_at=START + timedelta(seconds=at))
    return _fetching(call)


def queued(request_id: str, at: float = 0.0) -> Record:
    """A call that asks for the reply to be made in the background."""
    call = without_tokens(request_id=request_id, response_id="resp_1", started_at=START + timedelta(seconds=at))
    return Record(call=call, request_body="question", response_body="queued")


def _fetching(call: Call) -> Record:
    return Record(call=call, request_body=None, response_body="answer", fetched=True)


def counted(store: Audit) -> dict[str, int]:
    """The sums that aren't 0."""
    return {name: total for name, total in store.totals().items() if total}


def counted_by(store: Audit) -> dict[str, str | None]:
    """That column of each row, in order of arrival."""
    with store._connections.reader.connect() as connection:
        rows = connection.exec_driver_sql("SELECT request_id, counted_by FROM calls ORDER BY id")
        return {row.request_id: row.counted_by for row in rows}


# ── Fetching ────────────────────────────────────────────────────────────────────────────


def test_a_background_reply_is_counted_when_it_is_done_and_never_again(store: Audit) -> None:
    store.write([queued("make")])
    store.write([polled("poll-1", 1)])
    store.write([polled("poll-2", 2)])
    assert counted(store) == {}
    for number in range(3, 8):
        store.write([fetched(f"fetch-{number}", number)])
    assert counted(store) == ONCE
    assert store.count() == 8


def test_a_reply_that_was_counted_when_it_was_made_is_not_counted_when_it_is_fetched(store: Audit) -> None:
    store.write([made("make")])
    store.write([fetched("fetch")])
    assert counted(store) == ONCE
    assert counted_by(store) == {"make": None, "fetch": "make"}


def test_a_reply_whose_making_is_reported_late_is_not_counted_again(store: Audit) -> None:
    store.write([fetched("fetch")])
    store.write([made("make")])
    assert counted(store) == ONCE
    assert counted_by(store) == {"fetch": "fetch", "make": "fetch"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_the_order_of_reports_in_a_batch_does_not_matter(store: Audit, order: Sequence[int]) -> None:
    records = [made("make"), polled("poll", 1), fetched("fetch-1", 2), fetched("fetch-2", 3)]
    stored = store.write([records[index] for index in order])
    assert new(stored) == [True] * 4
    assert counted(store) == ONCE
    assert counted_by(store)["make"] is None


def test_it_holds_across_a_restart(database: str) -> None:
    for records in ([queued("make")], [fetched("fetch-1")], [fetched("fetch-2", 2)]):
        with audit.open(database) as store:
            store.write(records)
            total = counted(store)
    assert total == ONCE


def test_a_report_that_comes_again_changes_nothing(store: Audit) -> None:
    records = [queued("make"), fetched("fetch-1"), fetched("fetch-2", 2)]
    store.write(records)
    before = counted_by(store)
    assert store.write([records[1]]) == [None]
    assert store.write(records) == [None, None, None]
    assert (counted(store), counted_by(store)) == (ONCE, before)


def test_a_report_that_is_dropped_takes_no_tokens_from_others(store: Audit) -> None:
    # A client that gives every poll the same id: the second one is dropped, and so has counted nothing.
    store.write([polled("same")])
    assert new(store.write([fetched("same", 2), fetched("other", 3)])) == [False, True]
    assert counted(store) == ONCE


# ── What is stored ──────────────────────────────────────────────────────────────────────


def test_what_was_counted_before_is_stored_with_all_but_its_usage(store: Audit) -> None:
    store.write([made("make")])
    store.write([fetched("fetch")])
    shown, said = store.call("fetch", bodies=True) or {}, asdict(fetched("fetch").call)
    missing = {name for name, value in said.items() if value is not None and shown.get(name) is None}
    tokens = {"input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "reasoning_output_tokens"}
    assert missing == {*tokens, "cost", "price_version", "details"}
    assert (shown["usage_source"], shown["response_body"]) == ("unknown", "answer")


def test_who_counts_gets_back_what_was_stored(store: Audit) -> None:
    first, second = store.write([made("make"), fetched("fetch")])
    assert first == made("make").call
    assert second is not None
    assert (second.request_id, second.input_tokens, second.cost, second.usage_source) == (
        "fetch",
        None,
        None,
        "unknown",
    )


def test_who_counts_gets_back_numbers_as_they_were_mended(store: Audit) -> None:
    [stored] = store.write([made("huge", input_tokens=2**41, tokens_per_second=float("inf"))])
    assert stored is not None
    assert (stored.input_tokens, stored.output_tokens, stored.tokens_per_second) == (None, 20, None)


# ── What proves nothing ─────────────────────────────────────────────────────────────────


def test_calls_that_generate_all_count_although_a_server_gives_every_reply_the_same_id(store: Audit) -> None:
    store.write([made("a", 0), made("b", 1)])
    store.write([made("c", 2)])
    assert counted(store) == {name: 3 * total for name, total in ONCE.items()}


def test_a_fetch_does_not_stop_later_calls_of_such_a_server_from_counting(store: Audit) -> None:
    store.write([queued("make", 0)])
    store.write([fetched("fetch", 1)])
    store.write([made("b", 2), made("c", 3)])
    assert counted(store) == {name: 3 * total for name, total in ONCE.items()}


def test_the_same_id_of_another_server_is_another_reply(store: Audit) -> None:
    store.write([made("make", provider_name="self_hosted", host="one.example")])
    store.write([fetched("fetch", provider_name="vllm", host="two.example")])
    assert counted(store) == {name: 2 * total for name, total in ONCE.items()}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "elsewhere", [{"provider_name": "vllm"}, {"provider_name": None}, {"host": "two.example"}], ids=str
)
def test_one_of_provider_and_host_is_enough_to_know_a_server(
    store: Audit, elsewhere: dict[str, Any], order: int
) -> None:
    # What a stream says of its provider and what a stored reply says can differ.
    for one in (made("make"), fetched("fetch", **elsewhere))[::order]:
        store.write([one])
    assert counted(store) == ONCE


def test_replies_without_an_id_are_each_their_own(store: Audit) -> None:
    store.write([fetched("a", response_id=None), fetched("b", response_id=None)])
    assert counted(store) == {name: 2 * total for name, total in ONCE.items()}


# ── Cost ────────────────────────────────────────────────────────────────────────────────


def test_a_batch_of_any_size_is_looked_up(store: Audit) -> None:
    store.write([fetched(f"fetch-{n}", response_id=f"resp_{n}") for n in range(0, 1200, 100)])
    store.write([made(f"make-{n}", response_id=f"resp_{n}") for n in range(1200)])
    assert counted(store)["input_tokens"] == 1200 * (CALL.input_tokens or 0)


@only_sqlite  # PostgreSQL plans by what the table holds, and a test's holds nothing
def test_ordinary_calls_ask_an_index_that_has_only_what_was_fetched(store: Audit) -> None:
    query = "SELECT request_id FROM calls WHERE calls.counted_by = calls.request_id AND calls.response_id IN ('a', 'b')"
    with store._connections.reader.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    assert any("calls_fetched" in str(step) for step in plan), plan


def test_a_reply_that_is_fetched_is_looked_up_in_an_index(store: Audit) -> None:
    with store._connections.reader.connect() as connection:
        before = inspect(connection).get_indexes("calls")
    store.write([made("make")])
    store.write([fetched("fetch", at=1)])
    with store._connections.reader.connect() as connection:
        after = inspect(connection).get_indexes("calls")
    indexed = [[index["name"] for index in indexes].count("calls_response_id") for indexes in (before, after)]
    # SQLite has it from the first fetch on: most calls needn't pay for what few ask for.
    assert indexed == [0 if connection.dialect.name == "sqlite" else 1, 1]
