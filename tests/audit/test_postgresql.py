"""Opening a PostgreSQL database, sharing it with other collectors, and its server going away and coming back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.errors import DatabaseError, StorageUnavailable
from support import postgresql
from support.databases import connect, sql
from support.records import new, record


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
def own_server() -> Iterator[postgresql.Server]:
    """A server that a test may stop."""
    with postgresql.running() as server:
        yield server


def calls(store: Audit) -> int:
    return sum(sums.calls for sums in store.counters.values())


# ── Opening ─────────────────────────────────────────────────────────────────────────────


def test_collectors_that_start_together_make_the_tables_once(new_database: Callable[[str], str]) -> None:
    database, stores, failures = new_database("empty"), [], []

    def start(name: str) -> None:
        try:
            stores.append(audit.open(database, instance=name))
        except DatabaseError as error:
            failures.append(error)

    threads = [threading.Thread(target=start, args=(f"c{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(stores), failures) == (4, [])
    for store in stores:
        assert new(store.write([record(store.instance)])) == [True]
        store.close()


def test_a_database_that_is_not_there_is_named_with_the_way_to_make_it(server: postgresql.Server) -> None:
    with pytest.raises(DatabaseError, match=r'database "nowhere" does not exist.*createdb'):
        audit.open(server.url("nowhere"))


def test_a_server_that_is_not_there_is_named(server: postgresql.Server) -> None:
    with pytest.raises(DatabaseError, match="check that the database server runs"):
        audit.open(server.url("audit").replace(str(server.folder), "/nowhere"))


def test_a_database_that_cannot_hold_every_character_is_refused(server: postgresql.Server) -> None:
    server.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(DatabaseError, match=r"keeps text in LATIN1.*createdb --encoding=UTF8"):
        audit.open(server.url("latin"))


def test_without_the_driver_it_says_what_to_install(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseError, match=r"pip install 'llmtoken\[postgresql\]'"):
        audit.open(database)


def test_somebody_elses_tables_are_left_alone(new_database: Callable[[str], str]) -> None:
    database = new_database("theirs")
    sql(database, "CREATE TABLE calls (id integer)")
    with pytest.raises(DatabaseError, match="isn't llmtoken's: it already has calls"):
        audit.open(database)
    assert sql(database, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(1,)]


def test_tables_of_other_programs_beside_ours_do_not_matter(new_database: Callable[[str], str]) -> None:
    database = new_database("shared")
    sql(database, "CREATE TABLE alembic_version (version_num text)")
    audit.open(database).close()


def test_a_database_of_a_newer_version_is_left_alone(database: str) -> None:
    sql(database, "UPDATE llmtoken_schema SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="schema is 9999"):
        audit.open(database)


def test_a_reader_can_not_write(database: str) -> None:
    with (
        audit.open_read_only(database) as reader,
        reader._connections.reader.connect() as connection,
        pytest.raises(Exception, match="read-only transaction"),
    ):
        connection.exec_driver_sql("DELETE FROM calls")


def test_a_reader_does_not_migrate(new_database: Callable[[str], str]) -> None:
    with pytest.raises(DatabaseError, match="schema is missing"):
        audit.open_read_only(new_database("empty"))


# ── One of each name ────────────────────────────────────────────────────────────────────


def test_a_second_collector_of_the_same_name_is_refused(store: Audit, database: str) -> None:
    with pytest.raises(DatabaseError, match=r"Another collector writes the counters of .*an `instance` of its own"):
        audit.open(database, busy_timeout=0.05)
    assert new(store.write([record()])) == [True]


def test_collectors_of_other_names_are_welcome(store: Audit, database: str) -> None:
    with audit.open(database, instance="other") as other:
        assert new(other.write([record("a")])) == [True]
        assert new(store.write([record("a"), record("b")])) == [False, True]
        assert (calls(store), calls(other)) == (1, 1)
        assert store.verify().differences == ()


def test_the_name_is_free_again_as_soon_as_its_collector_has_ended(database: str) -> None:
    for _ in range(3):
        audit.open(database, instance="one", busy_timeout=0.05).close()


def test_a_start_waits_a_little_for_the_one_before_to_end(database: str) -> None:
    first = audit.open(database, instance="one")
    threading.Timer(0.3, first.close).start()
    audit.open(database, instance="one").close()


# ── A server that goes away ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_writing_goes_on_by_itself_when_the_server_is_back(own_server: postgresql.Server, mode: str) -> None:
    with audit.open(own_server.create()) as store:
        store.write([record("a")])
        own_server.stop(mode)
        with pytest.raises(StorageUnavailable, match="database server"):
            store.write([record("b")])
        assert not store.writable()
        own_server.start()
        assert new(store.write([record("a"), record("b")])) == [False, True]
        assert store.writable()
        assert calls(store) == 2
        assert store.verify().differences == ()


def test_a_name_that_was_lost_with_the_server_is_not_written_under_until_it_is_held_again(
    own_server: postgresql.Server,
) -> None:
    database = own_server.create()
    with audit.open(database, instance="one", busy_timeout=0.05) as store:
        store.write([record("a")])
        own_server.stop()
        own_server.start()
        with audit.open(database, instance="one") as usurper:
            usurper.write([record("b")])
            for _ in range(2):  # the first finds its connection broken
                with pytest.raises(StorageUnavailable):
                    store.write([record("c")])
        store.write([record("c")])
        assert calls(store) == 3
        assert store.verify().differences == ()


def test_a_connection_that_was_broken_between_two_commits_makes_the_counters_be_read_anew(
    store: Audit, database: str
) -> None:
    store.write([record("a")])
    with closing(connect(database)) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )
    with pytest.raises(StorageUnavailable):
        store.write([record("b")])
    store.write([record("b")])
    assert calls(store) == 2
    assert store.verify().differences == ()
