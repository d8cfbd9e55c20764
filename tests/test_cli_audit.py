"""`llmtoken audit`: what it prints and how it ends."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.cli import app
from llmtoken.errors import ConfigError
from support.records import record
from support.terminal import needs_terminal, shown_on_a_terminal


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
    assert "Every counter, and every sum of a day, is that of the rows that it counts." in done.stdout
    assert "2 calls and 0 pruned ones in 2 series of 1 collector" in done.stdout


def test_verify_names_what_differs_and_ends_with_1(database: str) -> None:
    spoil(database)
    done = CliRunner().invoke(app, ["audit", "verify", "--database", database])
    assert done.exit_code == 1
    assert "consumer=bob" in done.stdout
    assert "1 counters differ" in done.stdout
    assert "3 sums of days differ" in done.stdout


def test_verify_as_json_for_programs(database: str) -> None:
    verify = ["audit", "verify", "--json", "--database", database]
    assert json.loads(CliRunner().invoke(app, verify).stdout)["balanced"] is True
    spoil(database)
    done = CliRunner().invoke(app, verify)
    found = json.loads(done.stdout)
    assert (done.exit_code, found["balanced"], found["calls"]) == (1, False, 2)
    (difference,) = found["differences"]
    assert difference.pop("labels")["consumer"] == "bob"
    assert {each["table"] for each in found["rollup_differences"]} == {
        "daily_usage",
        "daily_model_usage",
        "daily_consumer_usage",
    }
    assert difference == {"instance": "collector", "name": "input_tokens", "counter": "100", "rows": "1"}


def test_verify_runs_beside_a_collector(database: str) -> None:
    with audit.open(database) as store:
        store.write([record("c")])
        assert CliRunner().invoke(app, ["audit", "verify", "--database", database]).exit_code == 0


# ── Retention ───────────────────────────────────────────────────────────────────────────


def prune(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "prune", *arguments])


@pytest.fixture
def aged(tmp_path: Path) -> str:
    path, now = str(tmp_path / "aged.db"), datetime.now(UTC)
    with audit.open(path) as store:
        young = [record("young", started_at=now), record("younger", started_at=now)]
        store.write([*young, record("old", started_at=now - timedelta(days=40))])
    return path


def test_prune_without_a_rule_says_how_to_give_one(aged: str) -> None:
    done = prune("--database", aged)
    assert isinstance(done.exception, ConfigError)
    assert "--bodies, --calls or --bytes" in done.exception.hint


def test_prune_says_what_it_deleted_and_shows_no_progress_on_a_pipe(aged: str) -> None:
    done = prune("--database", aged, "--bodies", "30d", "--calls", "35d")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:2] == [
        "retain_bodies = 30d: the bodies of 1 calls deleted",
        "retain_calls = 35d: 1 calls deleted",
    ]
    assert done.stderr == ""


@needs_terminal
def test_prune_shows_progress_on_a_terminal(aged: str) -> None:
    shown = shown_on_a_terminal("audit", "prune", "--calls", "30d", "--database", aged)
    assert b"calls, retain_calls = 30d" in shown
    assert b"1/1" in shown


def test_prune_as_json_for_programs(aged: str) -> None:
    found = json.loads(prune("--database", aged, "--calls", "30d", "--json").stdout)
    assert found["done"] == [{"rule": "retain_calls = 30d", "deleted": "calls", "count": 1, "total": None}]
    assert (found["kept"], found["can_shrink"], found["interrupted"]) == (0, True, False)


def test_the_log_of_what_was_pruned(aged: str) -> None:
    assert "Nothing was deleted yet." in prune("--database", aged, "--log").stdout
    prune("--database", aged, "--calls", "30d")
    assert "retain_calls = 30d" in prune("--database", aged, "--log").stdout
    (row,) = json.loads(prune("--database", aged, "--log", "--json").stdout)
    assert (row["deleted"], row["calls"], row["first_id"], row["last_id"]) == ("calls", 1, 3, 3)


def test_the_settings_are_the_rules_where_none_is_given(aged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_RETAIN_CALLS", "30d")
    prune("--database", aged)
    with audit.open_read_only(aged) as reader:
        assert reader.count() == 2


def test_prune_refuses_a_duration_that_is_none(aged: str) -> None:
    done = prune("--database", aged, "--calls", "a month")
    assert isinstance(done.exception, ConfigError)
    assert "'a month' isn't a duration: write it like 30d" in done.exception.message


def test_prune_runs_beside_a_collector(aged: str) -> None:
    with audit.open(aged) as store:
        assert prune("--database", aged, "--calls", "30d").exit_code == 0
        store.write([record("new")])
        assert store.verify().balanced
