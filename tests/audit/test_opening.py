"""Opening makes a SQLite database, brings it up to date, or says what is wrong and leaves it alone."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.errors import DatabaseError, StorageUnavailable
from support.records import new, record

NOBODY = 65534


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "audit.db")


def sql(database: str, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def newest() -> str:
    return max(path.name[1:5] for path in (Path(audit.__file__).parent / "migrations" / "versions").glob("v*.py"))


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may do anything; permissions show to others only."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an ordinary user reaches, as pytest's own isn't."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


# ── A good one ──────────────────────────────────────────────────────────────────────────


def test_a_missing_database_is_created(database: str) -> None:
    with audit.open(database) as store:
        assert store.count() == 0


def test_a_database_opens_again_with_all_it_had(database: str) -> None:
    with audit.open(database) as store:
        store.write([record()])
    with audit.open(database) as store:
        assert store.call("request-1")
        assert new(store.write([record()])) == [False]


def test_an_empty_file_becomes_a_database(database: str) -> None:
    Path(database).touch()
    with audit.open(database) as store:
        assert store.count() == 0


def test_a_url_means_the_same_as_a_path(database: str) -> None:
    with audit.open(f"sqlite:///{database}") as store:
        store.write([record()])
    with audit.open(database) as store:
        assert store.count() == 1


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    database = str(tmp_path / "a ?b=c#d%20é.db")
    with audit.open(database) as store:
        store.write([record()])
    assert Path(database).stat().st_size > 0


def test_a_new_database_is_for_its_owner_alone(store: Audit, database: str) -> None:
    store.write([record()])
    assert [Path(database + suffix).stat().st_mode & 0o077 for suffix in ("", "-wal", "-shm", ".lock")] == [0] * 4


def test_a_new_database_can_give_room_back_later(store: Audit, database: str) -> None:
    assert store.writable()
    assert sql(database, "PRAGMA auto_vacuum") == [(2,)]
    assert sql(database, "PRAGMA journal_mode") == [("wal",)]


# ── One collector ───────────────────────────────────────────────────────────────────────


def test_a_second_collector_on_the_same_file_is_refused_and_told_of_the_first(store: Audit, database: str) -> None:
    with pytest.raises(DatabaseError, match=f"Another collector is using .* \\(process {os.getpid()}\\)"):
        audit.open(database)
    assert new(store.write([record()])) == [True]


def test_a_second_collector_is_refused_under_another_name_of_the_file(
    store: Audit, database: str, tmp_path: Path
) -> None:
    alias = tmp_path / "alias.db"
    alias.symlink_to(database)
    with pytest.raises(DatabaseError, match="Another collector"):
        audit.open(str(alias))
    assert store.writable()


def test_a_collector_in_another_process_is_refused(store: Audit, database: str) -> None:
    script = "import sys; from llmtoken import audit; audit.open(sys.argv[1])"
    other = subprocess.run([sys.executable, "-c", script, database], capture_output=True, text=True, check=False)
    assert "Another collector is using" in other.stderr
    assert store.writable()


def test_the_next_collector_may_when_the_first_was_killed(database: str) -> None:
    script = "import sys; from llmtoken import audit; a = audit.open(sys.argv[1]); print('open', flush=True); input()"
    command = [sys.executable, "-c", script, database]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "open\n"
        with pytest.raises(DatabaseError, match=f"process {first.pid}"):
            audit.open(database)
        first.kill()
    audit.open(database).close()


def test_an_opening_that_failed_leaves_no_lock_behind(database: str) -> None:
    Path(database).write_bytes(b"not a database, " * 100)
    with pytest.raises(DatabaseError):
        audit.open(database)
    Path(database).unlink()
    audit.open(database).close()


def test_a_reader_is_welcome_beside_the_collector(store: Audit, database: str) -> None:
    store.write([record()])
    with audit.open_read_only(database) as first, audit.open_read_only(database) as second:
        assert (first.count(), second.count()) == (1, 1)


# ── A wrong one ─────────────────────────────────────────────────────────────────────────


def refusal(database: str) -> str:
    """What opening says; the file must stay as it is, byte by byte, and nothing appear beside it but the lock."""
    path = Path(database)
    before = path.read_bytes()
    with pytest.raises(DatabaseError) as error:
        audit.open(database, busy_timeout=0.05)
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} <= {path.name, f"{path.name}.lock"}
    return str(error.value)


def test_a_file_that_is_no_database_is_named_and_kept(database: str) -> None:
    Path(database).write_bytes(b"not a database, " * 100)
    assert "isn't a SQLite database" in refusal(database)


def test_a_truncated_database_is_called_damaged_and_kept(database: str) -> None:
    with audit.open(database) as store:
        store.write([record(f"r{n}", response_body="x" * 1000) for n in range(100)])
    content = Path(database).read_bytes()
    Path(database).write_bytes(content[: len(content) // 2])
    assert "damaged" in refusal(database)


def test_somebody_elses_database_is_left_alone(database: str) -> None:
    sql(database, "CREATE TABLE token_stats (id INTEGER PRIMARY KEY, request_body TEXT)")
    assert "isn't llmtoken's: it already has token_stats" in refusal(database)


def test_a_database_of_a_newer_version_is_left_alone(database: str) -> None:
    audit.open(database).close()
    sql(database, "UPDATE llmtoken_schema SET version_num = '9999'")
    sql(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert f"schema is 9999; this version of llmtoken knows up to {newest()}" in refusal(database)


def test_a_locked_database_is_called_locked(database: str) -> None:
    audit.open(database).close()
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="another program holds a lock"):
            audit.open(database, busy_timeout=0.05)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"nowhere/audit\.db.*its folder must exist"):
        audit.open(str(tmp_path / "nowhere" / "audit.db"))


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="Is a directory"):
        audit.open(str(tmp_path))


def test_a_folder_where_we_may_not_write_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with ordinary_user(), pytest.raises(DatabaseError, match=r"Permission denied.*be allowed to write there"):
        audit.open(str(open_folder / "audit.db"))


def test_a_file_that_we_may_only_read_is_named(open_folder: Path) -> None:
    path = open_folder / "audit.db"
    audit.open(str(path)).close()
    for file in open_folder.iterdir():
        file.chmod(0o444)
    with ordinary_user(), pytest.raises(DatabaseError, match="Permission denied"):
        audit.open(str(path))


@pytest.mark.parametrize("database", ["sqlite://", "sqlite:///:memory:", ":memory:", "file:audit.db?mode=memory"])
def test_the_audit_is_never_kept_in_memory(database: str) -> None:
    with pytest.raises(DatabaseError, match="needs a file"):
        audit.open(database)


@pytest.mark.parametrize("database", ["mysql://localhost/audit", "nonsense://x"])
def test_an_engine_that_we_do_not_know_is_refused_with_the_ones_that_we_do(database: str) -> None:
    with pytest.raises(DatabaseError, match=r"sqlite:///path or postgresql\+psycopg://"):
        audit.open(database)


def test_a_password_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseError) as error:
        audit.open("postgresql://user:secret@127.0.0.1:1/audit")
    assert "secret" not in str(error.value)


# ── Read-only ───────────────────────────────────────────────────────────────────────────


def test_a_reader_makes_no_database(database: str) -> None:
    with pytest.raises(DatabaseError, match="There is no database"):
        audit.open_read_only(database)
    assert not Path(database).exists()


def test_a_reader_can_not_write(database: str) -> None:
    audit.open(database).close()
    with audit.open_read_only(database) as reader:
        connection = reader._connections.reader.raw_connection()
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.cursor().execute("DELETE FROM calls")
        connection.close()


def test_a_reader_does_not_migrate(database: str) -> None:
    Path(database).touch()
    with pytest.raises(DatabaseError, match=f"schema is missing, this version reads {newest()}"):
        audit.open_read_only(database)
    assert Path(database).stat().st_size == 0


def test_a_reader_does_not_guess_at_a_newer_schema(database: str) -> None:
    audit.open(database).close()
    sql(database, "UPDATE llmtoken_schema SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="newer"):
        audit.open_read_only(database)


def test_a_damaged_page_met_while_reading_is_reported(database: str) -> None:
    with audit.open(database) as store:
        store.write([record(f"r{n}", response_body="x" * 10_000) for n in range(200)])
    content = bytearray(Path(database).read_bytes())
    content[-100 * 4096 :] = b"\xff" * (100 * 4096)
    Path(database).write_bytes(content)
    with audit.open_read_only(database) as reader, pytest.raises(StorageUnavailable, match="damaged"):
        reader.call("r199", bodies=True)
