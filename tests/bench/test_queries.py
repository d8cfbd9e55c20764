"""The benchmark of questions, on a small audit: everything is asked and answered while it is written to."""

import re
import subprocess
import sys

from support.needs import ROOT


def test_every_question_is_answered_while_calls_are_written() -> None:
    command = [sys.executable, "bench/queries.py", "--rows", "3000", "--runs", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    table = re.finditer(r"^(.+?) +[\d.]+ +[\d.]+ +[\d.]+ +(\d+)", done.stdout, re.MULTILINE)
    answered = {row[1]: int(row[2]) for row in table}
    assert answered["list, no filter"] == answered["list, model"] == answered["list, status 200, deep"] == 100
    assert answered["list, a provider that isn't there"] == 0
    assert (answered["usage by model"], answered["usage by consumer"]) == (22, 50)
    assert answered["show"] == 1
    written = re.search(r"meanwhile the writer committed (\d+) calls", done.stdout)
    assert written is not None
    assert int(written[1]) > 0
