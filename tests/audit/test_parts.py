"""What is told in more than one way is counted once, part by part, whatever is told when."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from llmtoken.audit import Audit, Rules
from llmtoken.audit.parts import counted_parts
from llmtoken.call import Parts, Record
from support.records import new, record

NOW = datetime.now(UTC)
EACH = 10
"""Input tokens of each part."""


def telling(request_id: str, parts: Sequence[str], *, days: float = 0, **changes: Any) -> Record:
    """A fetch that tells these parts, from so many days ago."""

    def tokens(ids: Collection[str]) -> dict[str, Any]:
        many = len(ids) * EACH
        return {"input_tokens": many, "output_tokens": 0, "total_tokens": many, "cost": None, "price_version": None}

    def without(ids: Collection[str]) -> dict[str, Any]:
        return tokens([part for part in parts if part not in ids])

    said = {"method": "GET", "response_id": None, "cache_read_input_tokens": None, "tokens_per_second": None}
    fields = {**said, **tokens(parts), "started_at": NOW - timedelta(days=days), **changes}
    return Record(
        call=record(request_id, **fields).call,
        request_body=None,
        response_body="answers",
        fetched=True,
        parts=Parts(tuple(parts), without),
    )


def counted(store: Audit) -> int:
    return store.totals()["input_tokens"] or 0


def tokens(store: Audit, request_id: str) -> int | None:
    found: int | None = (store.call(request_id) or {})["input_tokens"]
    return found


def known(store: Audit) -> int:
    """How many parts are known."""
    with store._connections.reader.connect() as connection:
        return connection.execute(select(func.count()).select_from(counted_parts)).scalar_one()


def test_a_fetch_has_the_parts_that_no_other_has(store: Audit) -> None:
    store.write([telling("a", ["1", "2"])])
    store.write([telling("b", ["2", "3", "4"]), telling("c", ["4", "1"])])
    assert [tokens(store, request_id) for request_id in "abc"] == [2 * EACH, 2 * EACH, None]
    assert [store.counted_by(request_id) for request_id in "abc"] == [None, None, "b"]


def test_whatever_is_told_in_whatever_order_each_part_is_counted_once(store: Audit) -> None:
    chance = random.Random(7)  # noqa: S311
    told: set[str] = set()
    for group in range(12):
        records = []
        for number in range(chance.randint(1, 4)):
            first = chance.randint(0, 60)
            parts = [str(part) for part in range(first, first + chance.randint(1, 30))]
            records.append(telling(f"{group}-{number}", parts))
            told.update(parts)
        store.write(records)
        assert counted(store) == len(told) * EACH
    assert store.verify().balanced


def test_a_page_of_any_length_is_looked_up(store: Audit) -> None:
    parts = [str(part) for part in range(1200)]
    store.write([telling("some", parts[::3])])
    store.write([telling("all", parts)])
    assert counted(store) == 1200 * EACH


def test_a_report_that_is_dropped_takes_no_parts_from_others(store: Audit) -> None:
    store.write([telling("same", ["1"])])
    assert new(store.write([telling("same", ["1", "2"]), telling("other", ["2"])])) == [False, True]
    assert counted(store) == 2 * EACH


@pytest.mark.parametrize("elsewhere", [{"provider_name": "vllm"}, {"provider_name": None}, {"host": "two.example"}])
def test_one_of_provider_and_host_is_enough_to_know_a_server(store: Audit, elsewhere: dict[str, Any]) -> None:
    store.write([telling("a", ["1"])])
    store.write([telling("b", ["1"], **elsewhere)])
    store.write([telling("c", ["1"])])
    assert counted(store) == EACH


def test_the_same_id_of_another_server_is_another_part(store: Audit) -> None:
    store.write([telling("a", ["1"])])
    store.write([telling("b", ["1"], provider_name="vllm", host="two.example")])
    assert counted(store) == 2 * EACH


def test_what_was_counted_whole_before_its_parts_were_known_is_not_counted_in_parts(store: Audit) -> None:
    # By a version that knew a batch by its own id alone.
    store.write([record("before", method="GET", fetched=True, response_id="batch-1", input_tokens=EACH)])
    store.write([telling("batch", ["file-1"], response_id="batch-1")])
    store.write([telling("file", ["file-1"], response_id="file-1")])
    assert counted(store) == EACH
    assert store.counted_by("file") == "before"


def test_ordinary_calls_and_fetches_leave_nothing_behind(store: Audit) -> None:
    store.write([record("made"), record("fetched", method="GET", fetched=True)])
    assert known(store) == 0


# ── Retention ───────────────────────────────────────────────────────────────────────────


def prune(store: Audit, *, days: float) -> None:
    store.prune(Rules(calls=timedelta(days=days)), pause=lambda _: True)


def test_a_part_is_known_after_its_call_is_gone_as_long_as_it_is_told_now_and_then(store: Audit) -> None:
    store.write([telling("first", ["1", "2", "3"], days=40)])
    store.write([telling("again", ["0", "1", "2"], days=20)])
    prune(store, days=30)
    assert store.call("first") is None
    store.write([telling("now", ["1", "2"])])
    assert tokens(store, "now") is None


def test_a_part_is_forgotten_with_the_last_call_that_told_it(store: Audit) -> None:
    many = [str(part) for part in range(1200)]
    store.write([telling("first", many, days=40), telling("second", ["0", "last"], days=20)])
    of_each = known(store) // 1201
    prune(store, days=30)
    assert known(store) == 2 * of_each
    prune(store, days=10)
    assert (store.count(), known(store)) == (0, 0)
