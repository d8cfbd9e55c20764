"""Many calls at once, of whatever shapes: each is stored once, under a key of its own, with its own bodies."""

import random

import pytest

from llmtoken.audit import Audit
from llmtoken.call import Record
from support.databases import only_sqlite, sql
from support.records import new, record


def of_all_shapes(prefix: str, count: int, seed: int = 0) -> list[Record]:
    """Calls that differ in which columns are null, in runs of any length."""
    chance = random.Random(seed)  # noqa: S311 - nothing is secret
    records = []
    while len(records) < count:
        known = {
            name: chance.choice((value, None))
            for name, value in {"consumer": "alice", "error_type": "timeout", "tool_calls": 2, "cost": None}.items()
        }
        for _ in range(min(chance.choice((1, 2, 5, 40)), count - len(records))):
            name = f"{prefix}{len(records)}"
            records.append(record(name, request_body=f"asked {name}", response_body=f"said {name}", **known))
    return records


@pytest.mark.parametrize("count", [1, 2, 7, 31, 120])
def test_calls_of_any_shapes_keep_their_own_values_and_bodies(store: Audit, count: int) -> None:
    records = of_all_shapes("r", count)
    assert new(store.write(records)) == [True] * count
    for each in records:
        found = store.call(each.call.request_id, bodies=True) or {}
        assert (found["request_body"], found["response_body"]) == (each.request_body, each.response_body)
        assert [found[name] for name in ("consumer", "error_type", "tool_calls")] == [
            each.call.consumer,
            each.call.error_type,
            each.call.tool_calls,
        ]
    assert store.verify().balanced


@pytest.mark.parametrize("seed", range(3))
def test_of_calls_that_are_there_in_part_only_the_new_ones_are_stored_and_counted(store: Audit, seed: int) -> None:
    records = of_all_shapes("r", 60, seed)
    before = set(random.Random(seed).sample(range(60), 20))  # noqa: S311
    store.write([each for place, each in enumerate(records) if place in before])
    assert new(store.write(records)) == [place not in before for place in range(60)]
    assert store.count() == 60
    assert store.verify().balanced


@only_sqlite  # PostgreSQL gives them as it claims the ids
def test_keys_are_in_the_order_of_arrival(store: Audit, database: str) -> None:
    records = of_all_shapes("r", 60)
    store.write(records)
    ordered = [request_id for (request_id,) in sql(database, "SELECT request_id FROM calls ORDER BY id")]
    assert ordered == [each.call.request_id for each in records]


@only_sqlite  # PostgreSQL's keys come of a sequence
def test_a_key_is_not_used_twice(store: Audit, database: str) -> None:
    store.write(of_all_shapes("a", 3))
    sql(database, "DELETE FROM calls")
    store.write(of_all_shapes("b", 3))
    assert [key for (key,) in sql(database, "SELECT id FROM calls ORDER BY id")] == [4, 5, 6]
