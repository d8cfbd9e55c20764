"""The watch over logs sees what it should: it is itself tried with tests that say what they mustn't."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.needs import ROOT

WAYS = {
    "a record": "logging.getLogger('some.library').warning('got %s', CANARY)",
    "a traceback": "try:\n        int(CANARY)\n    except ValueError:\n        logging.exception('odd')",
    "standard output": "print(CANARY)",
    "a log file": "(tmp_path / 'collector.log').write_text(CANARY)",
    "nothing": "assert CANARY",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_test_that_leaves_a_body_in_a_log_fails(tmp_path: Path, way: str) -> None:
    test = f"import logging\nfrom support.canary import CANARY\n\ndef test_it(tmp_path):\n    {WAYS[way]}\n"
    (tmp_path / "test_it.py").write_text(test, "utf-8")
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text("utf-8"), "utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--basetemp={tmp_path / 'temp'}",
            "test_it.py",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "tests"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if way == "nothing" else 1), done.stdout
    shutil.rmtree(tmp_path / "temp", ignore_errors=True)  # or the watch over this session finds it too
