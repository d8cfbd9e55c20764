"""`llmtoken audit verify` of a sealed database: what it prints and how it ends; commands without the key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmtoken.cli import app
from llmtoken.errors import ConfigError, DatabaseError
from support.databases import sql
from support.records import record
from support.sealed import KEY, head, sealed


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "audit.db")
    with sealed(path, [KEY]) as store:
        store.write([record("a"), record("b", consumer="bob")])
        store.write([record("c")])
    return path


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    monkeypatch.setenv("LLMTOKEN_SEAL_KEY_FILE", str(tmp_path / "key"))


def audit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def test_verify_says_what_it_held_against_the_seals_and_where_the_chain_ends(database: str) -> None:
    done = audit("verify", "--database", database)
    assert done.exit_code == 0, done.output
    assert "Every sealed call and body is as it was stored" in done.stdout
    assert "3 calls held against seals made with your key; 0 more were deleted with a mark" in done.stdout
    assert f"head {head(database, keys=[KEY])}" in done.stdout


def test_verify_names_the_calls_that_were_changed_and_ends_with_1(database: str) -> None:
    sql(database, "UPDATE calls SET path = '/elsewhere' WHERE request_id <> 'b'")
    done = audit("verify", "--database", database)
    assert done.exit_code == 1
    assert "2 calls are not as they were sealed: 1 (a), 3 (c)" in done.stdout
    assert "is as it was stored" not in done.stdout


def test_a_name_that_would_steer_the_terminal_is_shown_without(database: str) -> None:
    sql(database, "UPDATE calls SET request_id = 'x' || char(27) || '[31m' WHERE request_id = 'b'")
    assert "2 (x\ufffd[31m)" in audit("verify", "--database", database).stdout


def test_verify_wants_a_noted_head_in_the_chain(database: str) -> None:
    noted = head(database, keys=[KEY])
    assert audit("verify", "--database", database, "--head", noted).exit_code == 0
    done = audit("verify", "--database", database, "--head", noted, "--head", "ab" * 32)
    assert done.exit_code == 1
    assert "ab" * 32 in done.stdout


def test_verify_as_json_for_programs(database: str) -> None:
    sql(database, "DELETE FROM bodies WHERE call_id = 2")
    done = audit("verify", "--json", "--database", database)
    found = json.loads(done.stdout)
    assert (done.exit_code, found["balanced"], found["seals"]["whole"]) == (1, True, False)
    (finding,) = found["seals"]["findings"]
    assert (finding["kind"], finding["count"]) == ("bodies_missing", 1)
    assert finding["first"] == [{"call_id": 2, "request_id": "b"}]
    assert found["seals"]["chains"][0]["head"] == head(database, keys=[KEY])


def test_verify_tells_of_calls_from_before(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.db")
    with sealed(path, [KEY]):
        pass
    with sealed(path, [KEY], instance="other") as store:
        store.write([record("a")])
    sql(path, "DELETE FROM seals")
    with sealed(path, [KEY]) as store:
        store.write([record("b")])
    done = audit("verify", "--database", path)
    assert done.exit_code == 0
    assert "1 calls aren't sealed: stored while sealing was off, until 20" in done.stdout


def test_verify_of_a_database_without_seals_says_nothing_of_them(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.db")
    with sealed(path) as store:
        store.write([record("a")])
    sql(path, "DELETE FROM seals")
    done = audit("verify", "--database", path)
    assert (done.exit_code, "seal" in done.stdout) == (0, False)


@pytest.mark.parametrize(
    "command", [["prune", "--bodies", "1m"], ["forget", "--consumer", "bob"], ["reprice", "--yes"]], ids=" ".join
)
def test_what_changes_the_audit_is_refused_without_the_key(
    database: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLMTOKEN_SEAL_KEY_FILE")
    done = audit(*command, "--database", database)
    assert isinstance(done.exception, DatabaseError)
    assert "seal_key" in done.exception.hint
    assert sql(database, "SELECT count(*) FROM bodies") == [(3,)]
    monkeypatch.setenv("LLMTOKEN_SEAL_KEY", KEY)
    assert audit(*command, "--database", database).exit_code == 0
    assert audit("verify", "--database", database).exit_code == 0


@pytest.mark.parametrize("text", ["too short\n", f"{KEY}\nshort\n"])
def test_a_key_that_is_too_short_is_refused(database: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    done = audit("verify", "--database", database)
    assert isinstance(done.exception, ConfigError)
    assert "openssl rand" in done.exception.hint
