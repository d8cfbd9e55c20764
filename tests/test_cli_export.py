"""`llmtoken audit export`: what it prints, where it writes, how it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.audit import Filter
from llmtoken.cli import app
from llmtoken.cli.filters import OPTIONS
from llmtoken.errors import ConfigError, QueryError
from support.interrupted import interrupted
from support.records import record
from support.terminal import needs_terminal, shown_on_a_terminal


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write([record(f"r{n}", consumer="alice" if n % 2 else "bob") for n in range(10)])
    return path


def export(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "export", *arguments])


def test_the_options_are_the_filters_own() -> None:
    assert list(OPTIONS) == list(Filter.model_fields)


def test_standard_output_gets_json_lines_and_nothing_else(database: str) -> None:
    done = export("--database", database, "--consumer", "alice", "--since", "2026-01-01")
    assert [json.loads(line)["request_id"] for line in done.stdout.splitlines()] == ["r1", "r3", "r5", "r7", "r9"]
    assert done.stderr == ""


def test_a_file_has_the_format_that_its_name_says(database: str, tmp_path: Path) -> None:
    done = export(str(tmp_path / "calls.csv"), "--database", database)
    assert done.stdout.startswith("10 calls exported to ")
    assert done.stdout.endswith("exports --after 10\n")
    assert done.stderr == ""
    assert (tmp_path / "calls.csv").read_text().startswith("id,request_id,")
    export(str(tmp_path / "calls.txt"), "--format", "jsonl", "--database", database, "--after", "8")
    assert len((tmp_path / "calls.txt").read_text().splitlines()) == 2


def test_as_json_for_programs(database: str, tmp_path: Path) -> None:
    found = json.loads(export(str(tmp_path / "calls.jsonl"), "--json", "--database", database).stdout)
    assert (found["target"], found["calls"], found["after"]) == (str(tmp_path / "calls.jsonl"), 10, 10)


def test_a_wrong_filter_is_explained(database: str) -> None:
    error = export("--database", database, "--since", "yesterday").exception
    assert isinstance(error, QueryError)
    assert "'yesterday' isn't a time" in error.message


def test_a_search_is_refused_instead_of_exporting_everything(database: str) -> None:
    done = export("--database", database, "--q", "refund")
    assert isinstance(done.exception, QueryError)
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [["calls.jsonl", "--format", "xlsx"], ["-", "--resume"], ["-", "--json"], ["calls.xlsx"]],
)
def test_options_that_make_no_sense_are_explained(database: str, arguments: list[str]) -> None:
    assert isinstance(export(*arguments, "--database", database).exception, ConfigError)


@needs_terminal
def test_progress_shows_on_a_terminal(database: str, tmp_path: Path) -> None:
    shown = shown_on_a_terminal("audit", "export", str(tmp_path / "calls.jsonl"), "--database", database)
    assert b"10 calls" in shown
    assert b"100%" in shown


def test_whoever_stops_reading_hears_no_complaint(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write([record(f"r{n}") for n in range(2000)])
    command = f"{sys.executable} -m llmtoken audit export --database {path} | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["request_id"] == "r0"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_export_goes_on_with_nothing_twice_and_nothing_missing(tmp_path: Path, how: int) -> None:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write([record(f"r{n}", response_body="x" * 20_000) for n in range(3000)])
    for attempt in range(5):
        target, notes = tmp_path / f"{attempt}.jsonl", tmp_path / f"{attempt}.jsonl.part.json"
        command = ("audit", "export", str(target), "--database", path, "--bodies")
        code, said = interrupted(*command, once=notes.exists, how=how)
        if not target.exists():
            break  # otherwise it was done before it got the signal, on a busy machine
    assert code != 0
    if how == signal.SIGINT:
        assert f"Interrupted. Go on with: llmtoken audit export {target} --resume" in said
    assert isinstance(export(str(target), "--resume", "--format", "csv", "--database", path).exception, ConfigError)
    assert export(str(target), "--resume", "--database", path).exit_code == 0
    assert [json.loads(line)["request_id"] for line in target.read_text().splitlines()] == [
        f"r{n}" for n in range(3000)
    ]
