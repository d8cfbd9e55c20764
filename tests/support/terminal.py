"""What the command line shows on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


def shown_on_a_terminal(*arguments: str | os.PathLike[str], typed: bytes = b"") -> bytes:
    """Run `llmtoken` with its errors and progress on a pseudo-terminal; everything that appeared there.

    What is `typed` is read by whoever asks; without it there is nobody to be asked.
    """
    leader, follower = os.openpty()
    with os.fdopen(leader, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "llmtoken", *arguments],
            stdin=follower if typed else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=follower,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )
        os.close(follower)
        os.write(leader, typed)
        shown = b""
        try:
            while piece := screen.read(4096):
                shown += piece
        except OSError:  # the terminal is gone with its last program
            pass
        assert process.wait() == 0
    return shown
