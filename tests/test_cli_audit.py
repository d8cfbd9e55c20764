"""`llmtoken audit`: what it prints and how it ends."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.cli import app
from support.records import record


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write([record("a"), record("b", consumer="bob")])
    return path


def spoil(database: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE calls SET input_tokens = 1 WHERE request_id = 'b'")


def test_verify_says_that_all_agree(database: str) -> None:
    done = CliRunner().invoke(app, ["audit", "verify", "--database", database])
    assert done.exit_code == 0
    assert "Every counter is the sum of the rows that it counts." in done.stdout
    assert "2 calls and 0 pruned ones in 2 series of 1 collector" in done.stdout


def test_verify_names_what_differs_and_ends_with_1(database: str) -> None:
    spoil(database)
    done = CliRunner().invoke(app, ["audit", "verify", "--database", database])
    assert done.exit_code == 1
    assert "consumer=bob" in done.stdout
    assert "1 counters differ" in done.stdout


def test_verify_as_json_for_programs(database: str) -> None:
    verify = ["audit", "verify", "--json", "--database", database]
    assert json.loads(CliRunner().invoke(app, verify).stdout)["balanced"] is True
    spoil(database)
    done = CliRunner().invoke(app, verify)
    found = json.loads(done.stdout)
    assert (done.exit_code, found["balanced"], found["calls"]) == (1, False, 2)
    (difference,) = found["differences"]
    assert difference.pop("labels")["consumer"] == "bob"
    assert difference == {"instance": "collector", "name": "input_tokens", "counter": "100", "rows": "1"}


def test_verify_runs_beside_a_collector(database: str) -> None:
    with audit.open(database) as store:
        store.write([record("c")])
        assert CliRunner().invoke(app, ["audit", "verify", "--database", database]).exit_code == 0
