"""What is sealed, since when, and by whom; nothing is written where sealing is off."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from llmtoken import audit
from llmtoken.audit.schema import calls
from llmtoken.audit.seals import digests
from llmtoken.errors import DatabaseError
from support.databases import only_postgresql, only_sqlite, sql
from support.records import record
from support.sealed import KEY, KEYS, found, head, sealed, verified

OTHER = "another key, also long enough"


def test_off_by_default_nothing_is_written(database: str) -> None:
    with audit.open(database) as store:
        store.write([record("a")])
    with audit.open(database) as store:
        store.prune(audit.Rules(), pause=lambda _: True)
    assert sql(database, "SELECT count(*) FROM seals") == [(0,)]
    assert verified(database).chains == ()


@pytest.mark.parametrize("keys", KEYS)
def test_odd_values_are_read_back_as_they_were_sealed(database: str, keys: Sequence[str]) -> None:
    odd = [
        record("empty", request_body="", response_body=None, labels={}, finish_reasons=()),
        record("text", consumer="Zo\u00eb \U0001f600 \ud800 \0", request_body="\ud83d\ude00 \0 \udfff"),
        record("number", duration=-0.0, time_to_first_byte=1e-300, tokens_per_second=float("nan"), input_tokens=2**40),
        record("money", cost=Decimal("1E+3")),
        record("small", cost=Decimal("0.000000000000000000000000000001")),
        record("nothing", cost=Decimal("-0.00")),
        record("zeros", cost=Decimal("0.1000")),
        record("time", started_at=datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        record("json", labels={"é": '"\\', "b": "\u2028"}, details={"number": 1.5, "whole": 1}),
    ]
    with sealed(database, keys) as store:
        store.write(odd)
        store.write([record("a"), record("a"), record("again", fetched=True)])
    proof = verified(database, keys)
    assert (proof.findings, proof.calls, proof.keyed) == ((), len(odd) + 2, bool(keys))


def test_every_column_of_calls_is_evidence() -> None:
    assert [*digests.NAMES] == [column.name for column in calls.columns]


def test_the_digests_are_those_of_every_version() -> None:
    """If this fails, databases that were sealed before can't be verified any more."""
    known = {
        "request_id": "r",
        "started_at": datetime(2026, 1, 2, tzinfo=UTC),
        "stream": True,
        "finish_reasons": '["stop"]',
        "usage_source": "reported",
        "duration": 2.0,
        "cost": Decimal("0.0010"),
        "labels": "{}",
        "details": '{"a":1}',
        "input_tokens": 5,
    }
    row = [known.get(name) for name in digests.NAMES[1:]]
    assert digests.of_row(b"", 7, row).hex() == "c640fc34e1146ad511c5e837332c041935ea9b21a8b1fcd02ce57b63637eb71b"
    assert digests.of_row(b"key", 7, row).hex() == "5d5bb96b099742b7d92bc6bcfad752716234e7531efd2e1ff042d1f424dc5dbe"
    assert (
        digests.of_bodies(b"", 7, "question", None).hex()
        == "c62ae80c042cd0b82ca9b29398922cd51b58be4897718740f1e512d3c566fcba"
    )


def test_a_call_that_was_stored_before_is_sealed_once(database: str) -> None:
    with sealed(database) as store:
        store.write([record("a")])
        store.write([record("a")])
        store.write([record("a"), record("b")])
    assert (found(database), verified(database).calls) == ({}, 2)


def test_a_commit_that_fails_leaves_the_chain_whole(database: str) -> None:
    with sealed(database) as store:
        store.write([record("a")])
        with pytest.raises(ZeroDivisionError):
            store.write([record("b")], labels=lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
        store.write([record("c")])
    assert (found(database), verified(database).calls) == ({}, 2)


# ── Since when ──────────────────────────────────────────────────────────────────────────


def test_calls_from_before_sealing_are_told_apart(database: str) -> None:
    with audit.open(database) as store:
        store.write([record("old"), record("older")])
    with sealed(database) as store:
        store.write([record("new")])
    proof = verified(database)
    assert (proof.findings, proof.calls) == ((), 1)
    assert [(gap.instance, gap.calls, gap.told) for gap in proof.gaps] == [(None, 2, 2)]


def test_a_gap_is_seen_while_sealing_is_off_and_after(database: str) -> None:
    with sealed(database, [KEY]) as store:
        store.write([record("a")])
        name = store.instance
    with audit.open(database, seal_keys=[KEY]) as store:
        store.write([record("b"), record("c")])
    (gap,) = verified(database, [KEY]).gaps
    assert (gap.instance, gap.calls, gap.ended_at) == (name, 2, None)
    with sealed(database, [KEY]) as store:
        store.write([record("d")])
    proof = verified(database, [KEY])
    assert (proof.findings, proof.calls) == ((), 2)
    (gap,) = proof.gaps
    assert (gap.instance, gap.calls, gap.told) == (name, 2, 2)
    assert gap.ended_at is not None


@only_sqlite
def test_more_calls_in_a_gap_than_there_were_are_found(database: str) -> None:
    with audit.open(database) as store:
        store.write([record("old"), record("older")])
        sql(database, "DELETE FROM bodies WHERE call_id = 1")
        sql(database, "UPDATE calls SET id = 2000 WHERE request_id = 'old'")
    with sealed(database):
        pass
    names = ", ".join(column.name for column in calls.columns if column.name not in ("id", "request_id"))
    sql(database, f"INSERT INTO calls (id, request_id, {names}) SELECT 1500, 'made up', {names} FROM calls LIMIT 1")  # noqa: S608
    assert found(database) == {"call_unsealed": 1}


# ── Keys ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("keys", [(), (OTHER,)])
@pytest.mark.parametrize("on", [True, False])
def test_without_the_key_of_its_seals_a_database_isnt_opened_to_write(
    database: str, keys: Sequence[str], on: bool
) -> None:
    with sealed(database, [KEY]) as store:
        store.write([record("a")])
    with pytest.raises(DatabaseError, match="made with a key") as refused:
        audit.open(database, seals=on, seal_keys=keys)
    assert "seal_key_file" in refused.value.hint
    assert found(database, [KEY]) == {}


def test_a_key_can_be_replaced(database: str) -> None:
    with sealed(database, [KEY]) as store:
        store.write([record("a")])
    with sealed(database, [OTHER, KEY]) as store:
        store.write([record("b")])
    assert found(database, [KEY, OTHER]) == {}
    assert found(database, [OTHER]) == {"seal_of_unknown_key": 2}


def test_a_key_can_be_added_and_vouches_for_what_was_before(database: str) -> None:
    with sealed(database, instance="other") as store:
        store.write([record("a")])
    with sealed(database, [KEY], instance="one") as store:
        store.write([record("b")])
    assert found(database, [KEY]) == {}
    with sealed(database, instance="three", keys=[KEY]) as store:
        store.write([record("c")])
    assert found(database, [KEY]) == {}


# ── Several collectors ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("keys", KEYS)
@only_postgresql
def test_replicas_have_a_chain_each(database: str, keys: Sequence[str]) -> None:
    with sealed(database, keys, instance="one") as one, sealed(database, keys, instance="two") as two:
        for number in range(10):
            one.write([record(f"one-{number}"), record(f"both-{number}")])
            two.write([record(f"both-{number}"), record(f"two-{number}")])
    proof = verified(database, keys)
    assert (proof.findings, proof.calls) == ((), 30)
    assert [chain.instance for chain in proof.chains] == ["one", "two"]


@only_postgresql
def test_a_replica_that_doesnt_seal_yet_is_no_excuse_once_it_does(database: str) -> None:
    with audit.open(database, instance="late") as late:
        late.write([record("before")])
        with sealed(database, instance="first") as first:
            first.write([record("a")])
            late.write([record("meanwhile")])
            assert found(database) == {"call_unsealed": 1}
    with sealed(database, instance="late") as late:
        late.write([record("b")])
    proof = verified(database)
    assert (proof.findings, proof.calls) == ((), 2)
    assert {(gap.instance, gap.calls) for gap in proof.gaps} == {(None, 1), ("late", 1)}


@only_postgresql
def test_a_chain_that_was_cut_off_is_found_by_one_that_began_later(database: str) -> None:
    with sealed(database, instance="one") as one:
        one.write([record("a", request_body=None, response_body=None)])
    with sealed(database, instance="two") as two:
        two.write([record("b")])
    sql(database, "DELETE FROM calls WHERE request_id = 'a'")
    sql(database, "DELETE FROM seals WHERE instance = 'one' AND sequence = 2")
    assert found(database) == {"head_missing": 1}


def test_the_log_says_where_the_chain_ends(database: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "llmtoken.audit"), sealed(database, instance="one") as store:
        store.write([record("a")])
        assert head(database, "one") in caplog.text


@only_sqlite
def test_a_replay_has_a_chain_of_its_own_in_the_same_file(database: str, tmp_path: Path) -> None:
    assert Path(database).parent == tmp_path
    for instance in ("collector", "replay", "collector"):
        with sealed(database, instance=instance) as store:
            store.write([record(f"{instance}-{store.count()}")])
    assert (found(database), verified(database).calls) == ({}, 3)
