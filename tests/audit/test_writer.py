"""Rows are stored together or not at all, once each, and an acknowledgement is a promise."""

import itertools
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.errors import StorageUnavailable
from support.databases import locked, only_sqlite
from support.records import new, record


def pragma(store: Audit, statement: str) -> int:
    """Run a PRAGMA on the writing connection."""
    with store._connections.writer.raw() as connection:
        driver = connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return int(driver.execute(f"PRAGMA {statement}").fetchone()[0])


@contextmanager
def full(store: Audit, *, spare_pages: int = 0) -> Iterator[None]:
    """The database may not grow: SQLite's own SQLITE_FULL."""
    pragma(store, f"max_page_count = {pragma(store, 'page_count') + spare_pages}")
    yield
    pragma(store, "max_page_count = 1073741823")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found about the database holds for no time."""
    monkeypatch.setattr("llmtoken.audit.writer._TRUSTED", 0.0)


BIG = "x" * 1_000_000


def test_new_records_are_told_from_known_ones(store: Audit) -> None:
    store.write([record("a")])
    assert new(store.write([record("b"), record("a"), record("c")])) == [True, False, True]


def test_a_request_id_twice_in_a_batch_is_new_once(store: Audit) -> None:
    assert new(store.write([record("a"), record("b"), record("a")])) == [True, True, False]
    assert store.count() == 2


def test_the_first_record_of_a_request_id_is_the_one_that_stays(store: Audit) -> None:
    store.write([record("a", response_body="first"), record("a", response_body="second")])
    store.write([record("a", response_body="third", input_tokens=999)])
    found = store.call("a", bodies=True) or {}
    assert (found["response_body"], found["input_tokens"]) == ("first", 100)


def test_nothing_to_write_is_no_work(store: Audit) -> None:
    assert store.write([]) == []


def test_each_body_belongs_to_its_call(store: Audit) -> None:
    store.write([record("known")])
    store.write([record(f"r{n}", response_body=f"answer {n}") for n in range(200)] + [record("known")])
    answers = [(store.call(f"r{n}", bodies=True) or {})["response_body"] for n in range(200)]
    assert answers == [f"answer {n}" for n in range(200)]


@only_sqlite
def test_a_written_row_is_synced_to_the_disk(store: Audit) -> None:
    assert (pragma(store, "synchronous"), pragma(store, "foreign_keys")) == (2, 1)


def test_writers_in_many_threads_store_each_record_once(store: Audit) -> None:
    told: list[bool] = []

    def work() -> None:
        for start in range(0, 100, 10):
            told.extend(new(store.write([record(f"r{n}") for n in range(start, start + 10)])))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (told.count(True), store.count()) == (100, 100)


# ── When the database refuses ───────────────────────────────────────────────────────────


@only_sqlite
def test_a_full_database_stores_nothing_of_the_batch(store: Audit) -> None:
    store.write([record("before")])
    with full(store), pytest.raises(StorageUnavailable, match="full") as refusal:
        store.write([record("small"), record("big", response_body=BIG)])
    assert refusal.value.retry_after > 0
    assert [call["request_id"] for call in store.list(limit=9).calls] == ["before"]


@only_sqlite
def test_writing_goes_on_when_there_is_room_again(store: Audit) -> None:
    with full(store), pytest.raises(StorageUnavailable):
        store.write([record(response_body=BIG)])
    assert new(store.write([record(response_body=BIG)])) == [True]


@only_sqlite
def test_a_disk_error_stores_nothing_and_writing_goes_on_after_it(store: Audit, database: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{database}-wal").stat().st_size + 100_000, hard))
    try:
        with pytest.raises(StorageUnavailable):
            store.write([record("small"), record("big", response_body=BIG)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.count() == 0
    assert new(store.write([record("small"), record("big", response_body=BIG)])) == [True, True]


def test_a_database_that_another_program_locks_refuses_until_it_lets_go(store: Audit, database: str) -> None:
    with locked(database), pytest.raises(StorageUnavailable, match="another program holds a lock"):
        store.write([record()])
    assert new(store.write([record()])) == [True]


def move(source: str, target: str) -> None:
    """Move a database with the files that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        file = Path(source + suffix)
        if file.exists():
            file.rename(target + suffix)


@only_sqlite
def test_nothing_is_acknowledged_into_a_deleted_file(store: Audit, database: str) -> None:
    store.write([record("before")])
    Path(database).unlink()
    with pytest.raises(StorageUnavailable):
        store.write([record("lost")])


@only_sqlite
def test_writing_goes_on_when_a_moved_file_is_back(store: Audit, database: str) -> None:
    store.write([record("before")])
    move(database, f"{database}.moved")
    with pytest.raises(StorageUnavailable):
        store.write([record("refused")])
    move(f"{database}.moved", database)
    store.write([record("after")])
    assert [call["request_id"] for call in store.list(limit=9).calls] == ["after", "before"]


@only_sqlite
def test_a_refusal_tells_nothing_of_what_was_said(store: Audit) -> None:
    secret = "the prompt " * 100_000
    with full(store), pytest.raises(StorageUnavailable) as refusal:
        store.write([record(request_body=secret)])
    assert "the prompt" not in "".join(map(str, (refusal.value, refusal.value.__cause__)))


def test_a_closed_audit_takes_nothing(store: Audit) -> None:
    store.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        store.write([record()])


# ── Readiness ───────────────────────────────────────────────────────────────────────────


def test_a_fresh_audit_is_writable(store: Audit) -> None:
    assert store.writable()


@only_sqlite
def test_an_audit_that_has_just_refused_is_not_writable(store: Audit) -> None:
    with full(store), pytest.raises(StorageUnavailable):
        store.write([record(response_body=BIG)])
    assert not store.writable()


@only_sqlite
@pytest.mark.usefixtures("impatient")
def test_a_full_database_is_not_writable_although_something_small_would_fit(store: Audit) -> None:
    with full(store, spare_pages=20):
        with pytest.raises(StorageUnavailable):
            store.write([record(response_body=BIG)])
        assert not store.writable()
    assert store.writable()


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_is_not_writable(store: Audit, database: str) -> None:
    with locked(database):
        assert not store.writable()
    assert store.writable()


@only_sqlite
@pytest.mark.usefixtures("impatient")
def test_a_deleted_database_is_not_writable(store: Audit, database: str) -> None:
    Path(database).unlink()
    assert not store.writable()


@only_sqlite
def test_polling_readiness_does_not_write_every_time(store: Audit, database: str) -> None:
    store.writable()
    log = Path(f"{database}-wal")
    before = log.read_bytes()
    for _ in range(100):
        store.writable()
    assert log.read_bytes() == before


# ── Readers beside the writer ───────────────────────────────────────────────────────────


def test_readers_never_fail_and_never_see_half_a_batch_while_rows_are_written(store: Audit) -> None:
    done = threading.Event()
    seen: list[int] = []
    failures: list[Exception] = []

    def read() -> None:
        try:
            while not done.is_set():
                seen.append(store.count())
                store.list(limit=5)
        except StorageUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for start in range(0, 1000, 10):
        store.write([record(f"r{n}") for n in range(start, start + 10)])
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert seen
    assert all(count % 10 == 0 for count in seen)


@only_sqlite
def test_readers_do_not_make_the_log_grow(store: Audit, database: str) -> None:
    pragma(store, "wal_autocheckpoint = 100")
    numbers = itertools.count()
    for _ in range(50):
        store.write([record(f"r{next(numbers)}", response_body="x" * 100_000)])
        store.list(limit=3)
        store.call("r0", bodies=True)
    assert Path(f"{database}-wal").stat().st_size < 2_000_000


@only_sqlite
def test_closing_leaves_everything_in_the_one_file_also_beside_a_reader(
    store: Audit, database: str, tmp_path: Path
) -> None:
    with audit.open_read_only(database) as reader:
        store.write([record()])
        assert reader.count() == 1
        store.close()
        alone = tmp_path / "alone.db"
        alone.write_bytes(Path(database).read_bytes())
    with audit.open_read_only(str(alone)) as reader:
        assert reader.count() == 1
