"""Nothing that was started outlives its supervisor."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SUPERVISOR = """
import subprocess, sys, time
from llmtoken.stack.leash import Leash
with Leash() as leash:
    child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    leash.hold(child.pid)
    {then}
"""
PATIENT = "import time; print(flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc to see what runs")


def runs(pid: int) -> bool:
    """Whether a process runs; a zombie doesn't, whoever has yet to collect it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def supervise(child: str, then: str) -> subprocess.Popen[str]:
    script = SUPERVISOR.format(child=child, then=then)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("child", [PATIENT, STUBBORN], ids=["patient", "stubborn"])
def test_a_killed_supervisor_takes_its_programs_along(child: str) -> None:
    with supervise(child, "print(child.pid, flush=True); time.sleep(600)") as supervisor:
        assert supervisor.stdout
        pid = int(supervisor.stdout.readline())
        assert runs(pid)
        supervisor.send_signal(signal.SIGKILL)
    while runs(pid):
        time.sleep(0.02)


def test_what_was_released_is_left_alone() -> None:
    with supervise(PATIENT, "leash.release(child.pid); print(child.pid, flush=True)") as supervisor:
        assert supervisor.stdout
        pid = int(supervisor.stdout.readline())
    assert runs(pid)
    subprocess.run(["kill", str(pid)], check=True)
