"""Whatever somebody changes in the database by hand is found, and named."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Float, Integer

from llmtoken.audit import Rules
from llmtoken.audit.connect import connect_beside
from llmtoken.audit.schema import bodies, calls
from llmtoken.audit.seals import chain, digests
from llmtoken.audit.seals.sealing import SEALED
from llmtoken.audit.values import Instant, Json, Money
from support.databases import only_sqlite, sql
from support.records import record
from support.sealed import KEY, KEYS, found, head, sealed, verified

NAME = "collector"
DAY = timedelta(days=1)


@pytest.fixture
def untouched(database: str) -> str:
    """Three commits, the last one of several calls, and one of them without bodies."""
    with sealed(database, instance=NAME) as store:
        store.write([record("first", labels={"team": "a"}, details={"tier": "x"})])
        store.write([record("silent", request_body=None, response_body=None)])
        store.write([record(f"r{number}", response_id=f"id-{number}") for number in range(5)])
    assert found(database) == {}
    return database


def another(column: Column[Any], engine: str) -> str:
    """Another value for a column, in SQL."""
    kind = column.type
    if isinstance(kind, Boolean):
        return f"NOT {column.name}"
    if isinstance(kind, (Integer, Float)):
        return f"coalesce({column.name}, 0) + 1000000"
    if isinstance(kind, Money):
        return "9.99" if engine == "postgresql" else "'9.99'"
    if isinstance(kind, Instant):
        return "'2001-01-01T00:00:00.000000Z'"
    return """'["x"]'""" if isinstance(kind, Json) else "'somebody else'"


def names(database: str, kind: str, keys: Sequence[str] = ()) -> list[str | None]:
    (finding,) = [finding for finding in verified(database, keys).findings if finding.kind == kind]
    return [where.get("request_id") for where in finding.first]


# ── Rows ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("column", [each for each in calls.columns if each.name != "id"], ids=lambda each: each.name)
def test_a_change_of_any_column_of_a_call_is_found(untouched: str, engine: str, column: Column[Any]) -> None:
    sql(untouched, f"UPDATE calls SET {column.name} = {another(column, engine)} WHERE request_id = 'r3'")  # noqa: S608
    assert found(untouched) == {"call_changed": 1}
    if column.name != "request_id":
        assert names(untouched, "call_changed") == ["r3"]


@pytest.mark.parametrize("column", [each for each in calls.columns if each.nullable], ids=lambda each: each.name)
@only_sqlite
def test_what_is_taken_out_of_a_column_is_found(untouched: str, column: Column[Any]) -> None:
    there = sql(untouched, f"SELECT {column.name} IS NOT NULL FROM calls WHERE request_id = 'r3'")  # noqa: S608
    sql(untouched, f"UPDATE calls SET {column.name} = NULL WHERE request_id = 'r3'")  # noqa: S608
    assert found(untouched) == ({"call_changed": 1} if there == [(1,)] else {})


@pytest.mark.parametrize("column", [*bodies.columns][1:], ids=lambda each: each.name)
@pytest.mark.parametrize("value", ["'another'", "NULL"])
def test_a_change_of_a_body_is_found(untouched: str, column: Column[Any], value: str) -> None:
    of_r3 = "(SELECT id FROM calls WHERE request_id = 'r3')"
    sql(untouched, f"UPDATE bodies SET {column.name} = {value} WHERE call_id = {of_r3}")  # noqa: S608
    assert found(untouched) == {"bodies_changed": 1}
    assert names(untouched, "bodies_changed") == ["r3"]


def test_a_call_under_another_id_is_missing_and_was_put_in(untouched: str) -> None:
    sql(untouched, "UPDATE calls SET id = id + 1000 WHERE request_id = 'silent'")
    assert found(untouched) == {"call_missing": 1, "call_unsealed": 1}


def test_a_deleted_call_is_found(untouched: str) -> None:
    sql(untouched, "DELETE FROM bodies WHERE call_id = (SELECT id FROM calls WHERE request_id = 'r2')")
    sql(untouched, "DELETE FROM calls WHERE request_id = 'r2'")
    assert found(untouched) == {"call_missing": 1}


def test_deleted_bodies_are_found(untouched: str) -> None:
    sql(untouched, "DELETE FROM bodies WHERE call_id = (SELECT id FROM calls WHERE request_id = 'r2')")
    assert found(untouched) == {"bodies_missing": 1}
    assert names(untouched, "bodies_missing") == ["r2"]


COPIED = ", ".join(column.name for column in calls.columns if column.name not in ("id", "request_id"))


def put_in(database: str, new_id: str) -> None:
    copied = f"INSERT INTO calls (id, request_id, {COPIED}) SELECT {new_id}, 'made up', {COPIED} FROM calls"  # noqa: S608
    sql(database, f"{copied} WHERE request_id = 'r4'")


@pytest.mark.parametrize("new_id", ["id + 1", "-id"])
@only_sqlite
def test_a_call_that_was_put_in_is_found_wherever_it_stands(untouched: str, new_id: str) -> None:
    put_in(untouched, new_id)
    assert found(untouched) == {"call_unsealed": 1}
    assert names(untouched, "call_unsealed") == ["made up"]


def test_a_call_that_was_put_in_stays_one_after_the_collector_starts_again(untouched: str) -> None:
    put_in(untouched, "id + 1000")
    with sealed(untouched, instance=NAME) as store:
        store.write([record("later")])
    assert found(untouched) == {"call_unsealed": 1}


def test_bodies_that_were_put_in_are_found(untouched: str) -> None:
    sql(untouched, "INSERT INTO bodies SELECT id, 'x', 'y' FROM calls WHERE request_id = 'silent'")
    assert found(untouched) == {"bodies_changed": 1}


@only_sqlite
def test_bodies_without_a_call_are_found(untouched: str) -> None:
    sql(untouched, "INSERT INTO bodies VALUES (1000, 'x', 'y')")
    assert found(untouched) == {"bodies_without_call": 1}


def test_bodies_that_were_exchanged_are_found(untouched: str) -> None:
    of = "(SELECT id FROM calls WHERE request_id = '{}')"
    for old, new in (("r1", "first"), ("r2", "r1")):
        text = f"(SELECT request_body || '{new}' FROM bodies WHERE call_id = {of.format(new)})"  # noqa: S608
        sql(untouched, f"UPDATE bodies SET request_body = {text} WHERE call_id = {of.format(old)}")  # noqa: S608
    assert found(untouched) == {"bodies_changed": 2}


@pytest.mark.parametrize("column", ["started_at", "duration", "labels", "cost", "request_model"])
@pytest.mark.parametrize("value", ["x'ff00'", "CAST(x'ff' AS TEXT)", "1e400", "'nonsense'"])
@only_sqlite
def test_what_no_driver_can_read_is_a_change_like_any_other(untouched: str, column: str, value: str) -> None:
    sql(untouched, f"UPDATE calls SET {column} = {value} WHERE request_id = 'r3'")  # noqa: S608
    assert found(untouched) == {"call_changed": 1}


# ── Seals ───────────────────────────────────────────────────────────────────────────────

LAST = "(SELECT max(sequence) FROM seals)"


@pytest.mark.parametrize("column", ["instance", "sequence", "kind", "made_at", "key_id", "last_id", "content", "link"])
def test_a_change_of_any_column_of_a_seal_is_found(untouched: str, engine: str, column: str) -> None:
    hexadecimal = "'\\x00'::bytea" if engine == "postgresql" else "x'00'"
    value = {
        "sequence": "sequence + 10",
        "last_id": "last_id + 1",
        "made_at": "'2001-01-01T00:00:00.000000Z'",
        "content": hexadecimal,
        "link": hexadecimal,
    }.get(column, "'another'")
    sql(untouched, f"UPDATE seals SET {column} = {value} WHERE sequence = 3")  # noqa: S608
    assert {"seal_broken", "seal_missing", "seal_of_unknown_key"} & found(untouched).keys()


def test_a_deleted_seal_is_found(untouched: str) -> None:
    sql(untouched, "DELETE FROM seals WHERE sequence = 3")
    assert found(untouched) == {"call_unsealed": 1, "seal_broken": 1, "seal_missing": 1}


def test_seals_that_were_exchanged_are_found(untouched: str) -> None:
    for old, new in ((2, 100), (3, 2), (100, 3)):
        sql(untouched, f"UPDATE seals SET sequence = {new} WHERE sequence = {old}")  # noqa: S608
    assert found(untouched) == {"seal_broken": 3}


def seal_anew(database: str) -> None:
    """Make all seals anew, without a key, as somebody can who has read our source."""
    connections = connect_beside(database, busy_timeout=1)
    with connections.writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM seals")
        ids = [row[0] for row in connection.exec_driver_sql("SELECT id FROM calls ORDER BY id")]
        content = b"".join(
            SEALED.pack(row[0], digests.of_values(b"", digests.values_of(row)), digests.bodies_of(b"", row))
            for row in digests.rows(connection, ids)
        )
        behind = chain.Head(NAME)
        chain.append(connection, chain.Keys(), behind, chain.CALLS, last_id=max(ids), content=content)
    connections.close()


EDIT = "UPDATE calls SET consumer = 'somebody else' WHERE request_id = 'r3'"


def test_a_chain_without_a_key_that_was_made_anew_is_only_found_against_a_noted_head(untouched: str) -> None:
    noted = head(untouched, NAME)
    sql(untouched, EDIT)
    seal_anew(untouched)
    assert found(untouched) == {}
    assert found(untouched, noted=[noted]) == {"head_missing": 1}


def test_with_a_key_a_chain_that_was_made_anew_without_it_is_found(database: str) -> None:
    with sealed(database, [KEY], instance=NAME) as store:
        store.write([record(name) for name in ("first", "silent", *(f"r{n}" for n in range(5)))])
    sql(database, EDIT)
    assert found(database, [KEY]) == {"call_changed": 1}
    seal_anew(database)
    assert found(database, [KEY]) == {"seal_without_key": 1}


def append_without_key(database: str, instance: str, request_id: str) -> None:
    """Put a call in, and a seal for it behind the others of a chain."""
    copied = f"INSERT INTO calls (id, request_id, {COPIED}) SELECT id + 500, '{request_id}', {COPIED}"
    sql(database, f"{copied} FROM calls ORDER BY id DESC LIMIT 1")
    connections = connect_beside(database, busy_timeout=1)
    with connections.writer.begin() as connection:
        [(new,)] = connection.exec_driver_sql(f"SELECT id FROM calls WHERE request_id = '{request_id}'").all()  # noqa: S608
        (row,) = digests.rows(connection, [new])
        content = SEALED.pack(new, digests.of_values(b"", digests.values_of(row)), digests.bodies_of(b"", row))
        behind = chain.head(connection, instance)
        chain.append(connection, chain.Keys(), behind, chain.CALLS, last_id=new, content=content)
    connections.close()


@pytest.mark.parametrize("instance", [NAME, "from before the key", "made up"])
def test_a_seal_without_the_key_is_found_also_when_others_were_put_behind_it(database: str, instance: str) -> None:
    with sealed(database, instance="from before the key") as store:
        store.write([record("oldest")])
    with sealed(database, [KEY], instance=NAME) as store:
        store.write([record("first")])
    assert found(database, [KEY]) == {}
    append_without_key(database, instance, "forged")
    with sealed(database, [KEY], instance=NAME) as store:
        store.write([record("later")])
        store.prune(Rules(calls=DAY), pause=lambda _: True)
    with sealed(database, [KEY], instance="made up") as store:
        store.write([record("last")])
    assert found(database, [KEY]) == {"seal_without_key": 1}


def test_rows_that_were_cut_off_with_their_seals_are_only_found_against_a_noted_head(untouched: str) -> None:
    before, noted = head(untouched, NAME), ""
    with sealed(untouched, instance=NAME) as store:
        store.write([record("newest")])
    noted = head(untouched, NAME)
    sql(untouched, "DELETE FROM bodies WHERE call_id = (SELECT id FROM calls WHERE request_id = 'newest')")
    sql(untouched, "DELETE FROM calls WHERE request_id = 'newest'")
    assert found(untouched) == {"call_missing": 1}
    sql(untouched, f"DELETE FROM seals WHERE sequence > {LAST} - 2")  # noqa: S608
    assert found(untouched) == {}
    assert found(untouched, noted=[before]) == {}
    assert found(untouched, noted=[before, noted]) == {"head_missing": 1}


@pytest.mark.parametrize("keys", KEYS)
def test_a_noted_head_is_still_there_after_more_was_written(database: str, keys: Sequence[str]) -> None:
    with sealed(database, keys, instance=NAME) as store:
        store.write([record("a")])
        noted = head(database, NAME, keys)
        store.write([record("b")])
        assert re.fullmatch(r"[0-9a-f]{64}", noted)
        assert noted != head(database, NAME, keys)
        assert found(database, keys, [noted.upper(), noted]) == {}


def test_with_another_key_or_none_nothing_is_proved(database: str) -> None:
    with sealed(database, [KEY], instance=NAME) as store:
        store.write([record("a")])
    assert found(database, [KEY]) == {}
    assert found(database, ["another key, also long enough"]) == {"seal_of_unknown_key": 2}
    assert found(database) == {"seal_of_unknown_key": 2}
    assert verified(database).calls == 0


NONSENSE = (
    b"\xff",
    b"{}",
    b'{"ids": [[1]]}',
    b'{"ids": [[1, 99999999999999999999]]}',
    b'{"columns": ["x"], "calls": [[1, [1], [2]]]}',
    b'{"unsealed": null, "heads": {"x": [99999999999999999999, "zz"]}, "introduces_key": false}',
    b'{"unsealed": null, "heads": {"x": [9223372036854775807, "zz"]}, "introduces_key": true}',
    b'{"anchors": {"collector": [-1, "zz"]}, "introduced": {}}',
)


@only_sqlite
def test_a_table_full_of_nonsense_is_told_and_not_stumbled_over(untouched: str) -> None:
    with closing(sqlite3.connect(untouched, isolation_level=None)) as connection:
        for kind in ("calls", "began", "changed", "deleted_calls", "released", "what"):
            for content in NONSENSE:
                connection.execute(
                    "INSERT INTO seals SELECT '', coalesce(max(sequence), 0) + 1, ?, '', '', 'x', ?, 7 FROM seals",
                    (kind, content),
                )
    assert {"seal_broken", "seal_unreadable"} <= found(untouched).keys()
