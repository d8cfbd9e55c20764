"""Real parts that a test needs. Absent, the test skips and says so; with CI=true it fails instead."""

import os
import resource
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def missing(what: str, how: str) -> NoReturn:
    """Skip with the reason; in CI nothing real may be skipped, so fail there."""
    reason = f"{what} is not here: {how}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str, how: str) -> str:
    """The path of a program from the virtual environment or PATH."""
    path = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    return path or missing(name, how)


def corpus() -> Path:
    """The recorded exchanges, which are never copied into the repository."""
    return shared("the recorded corpus", SHARED / "corpus" / "dev.jsonl")


def shared(what: str, path: Path) -> Path:
    """Something that lies beside the repository and isn't copied into it."""
    return path if path.exists() else missing(what, f"it belongs at {path}")


def open_files(count: int) -> None:
    """Have this process and those it starts hold so many files open at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            missing(f"room for {count} open files", f"the hard limit is {hard}: ulimit -Hn")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
