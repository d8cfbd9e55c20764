"""The programs beside the collector: found, or missed with the way to get them."""

import sys
from pathlib import Path

import pytest

from llmtoken.errors import StackError
from llmtoken.stack import programs


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only place where programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    return tmp_path


def script(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)


@pytest.mark.usefixtures("only")
def test_a_missing_traefik_says_how_to_get_one() -> None:
    with pytest.raises(StackError, match="Traefik isn't installed") as missing:
        programs.traefik()
    assert 'pip install "llmtoken[up]"' in missing.value.hint


def test_an_old_traefik_is_refused_with_its_version(only: Path) -> None:
    script(only / "traefik", "echo 'Version:      3.2.5'")
    with pytest.raises(StackError, match=r"is Traefik 3\.2; it must be 3\.3 or newer"):
        programs.traefik()


@pytest.mark.parametrize("version", ["3.3.0", "v3.7.15", "4.0.0", "dev"])
def test_a_new_enough_traefik_is_taken(only: Path, version: str) -> None:
    script(only / "traefik", f"echo 'Version:      {version}'")
    assert programs.traefik() == str(only / "traefik")


def test_a_traefik_that_does_not_run_is_refused(only: Path) -> None:
    script(only / "traefik", "exit 1")
    with pytest.raises(StackError, match="doesn't run"):
        programs.traefik()


def test_the_one_beside_this_python_is_preferred(only: Path) -> None:
    script(only / "traefik", "echo 'Version: 3.3.0'")
    script(only / "bin" / "traefik", "echo 'Version: 3.4.0'")
    assert programs.traefik() == str(only / "bin" / "traefik")


def test_prometheus_is_optional(only: Path) -> None:
    assert programs.prometheus() is None
    script(only / "prometheus", "")
    assert programs.prometheus() == str(only / "prometheus")
