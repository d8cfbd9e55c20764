"""A command that is stopped in the middle of its work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from support.collector import wait_for


def interrupted(*arguments: str, once: Callable[[], bool], how: int) -> tuple[int, str]:
    """Run `llmtoken`, send it the signal once that is so; its exit code, and what it said to stderr.

    On a busy machine it may be through before the signal comes: whoever needs it stopped tries again.
    """
    command = [sys.executable, "-m", "llmtoken", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(once)
            process.send_signal(how)
            _, said = process.communicate()
        finally:
            process.kill()
    return process.returncode, said
