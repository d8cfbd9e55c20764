"""The commands of docs/operations.md do what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from llmtoken import audit
from support import postgresql
from support.collector import wait_for
from support.databases import sql
from support.needs import ROOT
from support.ports import free_port

TEXT = (ROOT / "docs" / "operations.md").read_text("utf-8")
SECTION = TEXT.partition("## PostgreSQL and several collectors")[2].partition("\n## ")[0]
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()]


def commands(word: str) -> list[str]:
    found = [command for command in COMMANDS if word in command]
    assert found, f"the section has no {word}"
    return found


@pytest.fixture
def environment(server: postgresql.Server) -> dict[str, str]:
    """Where the section's commands run: a server of one's own, and this checkout's llmtoken."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), str(server.programs), clean.get("PATH", "")])
    connection = {"PGHOST": str(server.folder), "PGUSER": "postgres", "DATABASE": server.url("llmtoken")}
    return clean | connection | {"PATH": path}


@pytest.fixture
def database(server: postgresql.Server, environment: dict[str, str]) -> Iterator[str]:
    """Made as the section says."""
    (createdb,) = commands("createdb")
    subprocess.run(shlex.split(createdb), env=environment, check=True)
    yield server.url("llmtoken")
    server.drop(server.url("llmtoken"))


def test_the_database_is_made_and_shared_by_two_collectors_behind_one_address(
    database: str, environment: dict[str, str]
) -> None:
    with ExitStack() as stack:
        clients = []
        for command in commands("llmtoken serve"):
            name, *words = shlex.split(command.replace('"$DATABASE"', shlex.quote(database)))
            port = words[words.index("--port") + 1] = str(free_port())
            variable, _, value = name.partition("=")
            process = stack.enter_context(subprocess.Popen(words, env=environment | {variable: value}))
            stack.callback(process.terminate)
            clients.append(stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)))
        for client in clients:
            wait_for(lambda client=client: _ready(client))
        for number in range(6):
            report = {"request_id": f"r{number}", "request_body": "", "response_body": "", "elapsed_time": 1}
            for client in clients if number < 2 else [clients[number % 2]]:
                assert client.post("/api/report", json=report).status_code == 200
    assert sql(database, "SELECT count(*), count(DISTINCT series_id) FROM calls") == [(6, 2)]
    (verify,) = commands("llmtoken audit verify")
    done = subprocess.run(
        shlex.split(verify.replace('"$DATABASE"', shlex.quote(database))),
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "is that of the rows that it counts" in done.stdout
    with audit.open_read_only(database) as reader:
        assert reader.verify().instances == len(commands("llmtoken serve")) == 2


def test_the_extra_that_it_names_is_declared() -> None:
    (install,) = commands("pip install")
    extra = re.search(r"\[(\w+)\]", install)
    assert extra
    assert f"\n{extra[1]} = [" in (ROOT / "pyproject.toml").read_text("utf-8")


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
