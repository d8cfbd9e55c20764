"""docs/audit.md: the commands that it shows do what it says."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.cli import app
from support.needs import ROOT
from support.records import record

PAGE = (ROOT / "docs" / "audit.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ llmtoken (.+?)(?: \|.*)?$", PAGE, re.MULTILINE)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database in its usual place."""
    with audit.open(str(tmp_path / "llmtoken.db")) as store:
        store.write([record("REQUEST_ID"), record("failed", error_type="timeout")])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize("command", [each for each in COMMANDS if "browse" not in each])
def test_a_command_runs(here: Path, command: str) -> None:
    done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0, done.exception
    assert done.stdout
    if (found := re.search(r"export (\S+\.\w+)", command)) is not None:
        assert (here / found[1]).stat().st_size > 0


@pytest.mark.usefixtures("here")
def test_each_line_of_an_export_can_be_taken_by_itself() -> None:
    done = CliRunner().invoke(app, ["audit", "export", "--error", "true"])
    assert json.loads(done.stdout)["request_id"] == "failed"


OPTIONS = {
    "list": ["--cursor", "--url"],
    "usage": ["--group-by"],
    "show": ["--bodies"],
    "export": ["--resume", "--after", "--bodies", "--format"],
    "browse": ["--host"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_that_it_names_are_there(name: str) -> None:
    help_ = CliRunner().invoke(app, ["audit", name, "--help"], env={"COLUMNS": "200"}).stdout
    assert [option for option in OPTIONS[name] if not (option in help_ and option in PAGE)] == []
