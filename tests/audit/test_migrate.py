"""The schema grows by an ordered ledger of changes, and ends up as the code believes it to be."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.sql.schema import SchemaItem

from llmtoken import audit
from llmtoken.audit import Audit, Rules, migrate, replies
from llmtoken.audit.connect import connect
from llmtoken.audit.partitions import request_ids
from llmtoken.audit.schema import metadata
from support.databases import only_sqlite, sql


@pytest.fixture
def empty(new_database: Callable[[str], str]) -> str:
    """A database with nothing in it."""
    return new_database("empty")


def ledger() -> list[str]:
    return [change.revision for change in ScriptDirectory.from_config(migrate._config()).walk_revisions()][::-1]


def comparable(_: SchemaItem, name: str | None, kind: str, __: bool, ___: object) -> bool:
    """All but partitions, and what stands in PostgreSQL for a foreign key and for a unique index over partitions."""
    if kind == "table":
        return not re.fullmatch(r"(calls|bodies)_\d{8}", name or "")
    return name != "request_ids_call_id" and kind not in ("foreign_key_constraint", "unique_constraint")


def test_the_migrated_database_is_what_the_code_believes_it_to_be(store: Audit) -> None:
    options: dict[str, Any] = {"version_table": migrate.LEDGER, "compare_type": True}
    tables = [metadata]
    with store._connections.writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            options["include_object"] = comparable
            tables.append(request_ids.metadata)
        replies.index(connection)
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tables) == []


def test_the_changes_are_numbered_in_their_order() -> None:
    assert ledger() == [f"{number:04}" for number in range(1, len(ledger()) + 1)]


def test_each_change_is_in_the_file_of_its_number() -> None:
    folder = Path(migrate.__file__).parent / "migrations" / "versions"
    files = sorted(path.name for path in folder.glob("v*.py"))
    assert [re.sub(r"v(\d+)_.*", r"\1", name) for name in files] == ledger()


def test_calls_from_before_details_were_kept_have_none(empty: str) -> None:
    connections = connect(empty, busy_timeout=0.05)
    with connections.writer.begin() as connection:
        migrate.upgrade(connection, "0002")
        connection.exec_driver_sql(
            "INSERT INTO calls (request_id, started_at, stream, finish_reasons, usage_source, labels)"
            " VALUES ('old', '2026-01-01T00:00:00.000000Z', false, '[]', 'unknown', '{}')"
        )
    connections.close()
    with audit.open(empty) as store:
        assert (store.call("old", details=True) or {})["details"] == {}


def test_a_database_from_before_retention_can_be_pruned(empty: str) -> None:
    connections = connect(empty, busy_timeout=0.05)
    with connections.writer.begin() as connection:
        migrate.upgrade(connection, "0005")
        connection.exec_driver_sql(
            "INSERT INTO calls (request_id, started_at, stream, finish_reasons, usage_source, labels, details)"
            " VALUES ('old', '2020-01-01T00:00:00.000000Z', false, '[]', 'unknown', '{}', '{}')"
        )
    connections.close()
    with audit.open(empty) as store:
        store.prune(Rules(calls=timedelta(days=30)), pause=lambda _: True)
        assert (store.count(), [row.calls for row in store.prunings(1)]) == (0, [1])
        assert store.verify().balanced


@only_sqlite
@pytest.mark.parametrize("counted_by", [None, "old"])
def test_replies_stay_indexed_where_one_was_fetched(empty: str, counted_by: str | None) -> None:
    connections = connect(empty, busy_timeout=0.05)
    with connections.writer.begin() as connection:
        migrate.upgrade(connection, "0012")
        connection.exec_driver_sql(
            "INSERT INTO calls (request_id, started_at, stream, finish_reasons, usage_source, labels, counted_by)"
            " VALUES ('old', '2026-01-01T00:00:00.000000Z', false, '[]', 'unknown', '{}', ?)",
            (counted_by,),
        )
    connections.close()
    audit.open(empty).close()
    named = sql(empty, "SELECT name FROM sqlite_master WHERE name = 'calls_response_id'")
    assert named == ([("calls_response_id",)] if counted_by else [])


SCHEMA = {
    "sqlite": "SELECT name, sql FROM sqlite_master ORDER BY name",
    "postgresql": "SELECT relname, relkind, relpersistence, pg_get_viewdef(oid) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace ORDER BY relname",
}


def test_opening_again_changes_nothing(empty: str, engine: str) -> None:
    def schema() -> list[tuple[object, ...]]:
        return sql(empty, SCHEMA[engine])

    audit.open(empty).close()
    before = schema()
    audit.open(empty).close()
    assert schema() == before


def test_a_migration_that_breaks_off_leaves_nothing_behind(empty: str, engine: str) -> None:
    connections = connect(empty, busy_timeout=0.05)

    def break_off() -> None:
        with connections.writer.begin() as connection:
            migrate.upgrade(connection)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        break_off()
    connections.close()
    assert sql(empty, SCHEMA[engine]) == []
    audit.open(empty).close()
