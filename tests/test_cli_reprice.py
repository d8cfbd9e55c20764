"""`llmtoken audit reprice`: what it shows, asks and ends with."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.cli import app
from llmtoken.errors import QueryError
from support.records import record
from support.terminal import needs_terminal, shown_on_a_terminal

TABLE = """
[[prices]]
model = "gpt-4o"
input_per_million = 10
output_per_million = 20
"""
NEW = "0.0014"  # 100 tokens in, 20 out


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    database, file = str(tmp_path / "audit.db"), tmp_path / "llmtoken.toml"
    file.write_text(f'database = "{database}"\n{TABLE}', "utf-8")
    with audit.open(database) as store:
        store.write([record("a"), record("b", request_model="gpt-4o-mini", response_model=None, cost=None)])
    return ["audit", "reprice", "--config", str(file), "--model", "gpt-4o"]


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=answer)


def cost(arguments: list[str]) -> str:
    verified = json.loads(run("audit", "verify", "--json", *arguments[2:4]).stdout)
    assert verified["balanced"]
    return str(verified["repriced"])


def test_a_dry_run_shows_the_difference_and_changes_nothing(arguments: list[str]) -> None:
    done = run(*arguments, "--dry-run")
    assert done.exit_code == 0
    for shown in ("gpt-4o-2024-08-06", "2026-01-01", "own gpt-4o ", "0.00037", NEW, "+0.00103", "Nothing was changed."):
        assert shown in done.stdout
    assert cost(arguments) == "0"


def test_yes_corrects_without_asking_and_verify_says_by_how_much(arguments: list[str]) -> None:
    assert "1 calls corrected" in run(*arguments, "--yes").stdout
    assert Decimal(cost(arguments)) == Decimal("0.00103")
    assert "Repricing changed the rows by +0.00103" in run("audit", "verify", *arguments[2:4]).stdout
    assert "Nothing was changed." in run(*arguments, "--yes").stdout
    assert "own gpt-4o " in run(*arguments, "--log").stdout


def test_without_anybody_to_ask_it_refuses_and_says_how(arguments: list[str]) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, QueryError)
    assert "--yes" in done.exception.hint
    assert cost(arguments) == "0"


@needs_terminal
@pytest.mark.parametrize(("answer", "changed"), [("y", Decimal("0.00103")), ("n", Decimal(0))])
def test_a_person_is_asked(arguments: list[str], answer: str, changed: Decimal) -> None:
    assert b"Correct them?" in shown_on_a_terminal(*arguments, typed=f"{answer}\n".encode())
    assert Decimal(cost(arguments)) == changed


def test_json_is_for_programs(arguments: list[str]) -> None:
    found = json.loads(run(*arguments, "--dry-run", "--json").stdout)
    assert (found["changed"], found["looked_at"], found["calls"]) == (False, 1, 1)
    assert (found["old_cost"], Decimal(found["new_cost"])) == ("0.00037", Decimal(NEW))
    (change,) = found["changes"]
    assert (change["model"], change["calls"], change["old_version"]) == ("gpt-4o-2024-08-06", 1, "2026-01-01")
    assert json.loads(run(*arguments, "--yes", "--json").stdout)["changed"] is True
    (row,) = json.loads(run(*arguments, "--log", "--json").stdout)
    assert (row["calls"], row["old_cost"]) == (1, "0.00037")


def test_a_wrong_time_is_named(arguments: list[str]) -> None:
    done = run(*arguments, "--since", "soon", "--dry-run")
    assert isinstance(done.exception, QueryError)
    assert "soon" in done.exception.message
