"""Which tokens are valid now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmtoken import config
from llmtoken.guard import Tokens


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("old\n", "utf-8")
    return path


@pytest.fixture
def tokens(file: Path, clock: Clock) -> Tokens:
    settings = config.load(None, token="always", token_file=file)
    return Tokens(lambda: settings.tokens, file, clock=clock)


def admitted(tokens: Tokens) -> set[str]:
    return {name for name in ("always", "old", "new", "") if tokens.admit(name)}


def test_all_tokens_are_valid_at_the_same_time(tokens: Tokens) -> None:
    assert tokens.required
    assert admitted(tokens) == {"always", "old"}


def test_a_file_that_changes_is_read_again_without_a_restart(tokens: Tokens, file: Path, clock: Clock) -> None:
    file.write_text("old\nnew\n", "utf-8")
    clock.now += 2
    assert admitted(tokens) == {"always", "old", "new"}
    file.write_text("new\n", "utf-8")
    clock.now += 2
    assert admitted(tokens) == {"always", "new"}


def test_a_file_that_is_replaced_is_read_again_even_if_it_looks_alike(tokens: Tokens, file: Path, clock: Clock) -> None:
    """Kubernetes swaps a link; size and time may be the same."""
    seen = file.stat()
    other = file.with_name("other")
    other.write_text("new\n", "utf-8")
    os.utime(other, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    other.rename(file)
    clock.now += 2
    assert admitted(tokens) == {"always", "new"}


@pytest.mark.parametrize("damage", ["gone", "empty", "a folder", "not text"])
def test_a_file_that_cannot_be_used_changes_nothing(
    damage: str, file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config.load(None, token_file=file)
    tokens = Tokens(lambda: settings.tokens, file, clock=clock)
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage != "gone":
        file.write_bytes(b"\n\n" if damage == "empty" else b"\xff\xfe\n")
    clock.now += 2
    assert tokens.required
    assert admitted(tokens) == {"old"}
    assert "stay as they were" in caplog.text


def test_the_file_is_not_looked_at_for_every_request(tokens: Tokens, file: Path) -> None:
    file.write_text("new\n", "utf-8")
    assert admitted(tokens) == {"always", "old"}
