"""`llmtoken audit browse`: where it listens, and when it refuses to."""

import socket
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.cli import app
from llmtoken.errors import ConfigError, DatabaseError


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "audit.db")
    audit.open(path).close()
    return path


def browse(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "browse", *arguments])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "audit.example"])
def test_an_open_address_without_a_token_is_refused(database: str, host: str) -> None:
    error = browse("--host", host, "--database", database).exception
    assert isinstance(error, ConfigError)
    assert "anyone could read every prompt" in error.message
    assert "LLMTOKEN_READ_TOKEN" in error.hint


def test_a_port_that_is_taken_is_told(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = browse("--port", str(taken.getsockname()[1]), "--database", database).exception
    assert isinstance(error, ConfigError)
    assert "Address already in use" in error.message


def test_without_the_extra_it_says_what_to_install(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("llmtoken.browse")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "datasette", None)
    error = browse("--database", database).exception
    assert isinstance(error, ConfigError)
    assert error.hint == "pip install 'llmtoken[browse]'"


def test_a_servers_database_and_a_missing_file_are_told(tmp_path: Path) -> None:
    assert isinstance(browse("--database", "postgresql://somebody@nowhere/audit").exception, ConfigError)
    assert isinstance(browse("--database", str(tmp_path / "no.db")).exception, DatabaseError)
