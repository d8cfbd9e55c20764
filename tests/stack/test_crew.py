"""Programs run together: awaited, watched, stopped, and their deaths explained."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from llmtoken.errors import StackError
from llmtoken.stack import crew
from llmtoken.stack.crew import Part, running
from llmtoken.stack.ports import Ports

SERVER = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        self.end_headers()
        self.wfile.write(b"not yet")
    def log_message(self, *_): pass
def stop(*_):
    print("stopped", flush=True)
    open({journal!r}, "a").write({name!r} + " ")
    sys.exit()
signal.signal(signal.SIGTERM, {on_stop})
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""

Make = Callable[..., Part]


@pytest.fixture
def part(tmp_path: Path) -> Make:
    ports = Ports()

    def make(name: str, script: str = SERVER, *, status: int = 200, on_stop: str = "stop") -> Part:
        port = ports.claim("127.0.0.1", 0, owner=name, option="")
        journal = str(tmp_path / "journal")
        code = script.format(name=name, port=port, status=status, on_stop=on_stop, journal=journal)
        return Part(
            name=name,
            command=(sys.executable, "-c", code),
            ready=f"http://127.0.0.1:{port}/",
            log=tmp_path / f"{name}.log",
            directory=tmp_path,
            environment=dict(os.environ),
        )

    return make


def quiet() -> Console:
    return Console(file=io.StringIO())


async def run(*parts: Part) -> None:
    async with running(parts, quiet()):
        pass


def test_all_are_ready_before_work_begins_and_stopped_in_reverse_order(part: Make, tmp_path: Path) -> None:
    parts = [part("first"), part("second"), part("third")]

    async def work() -> None:
        async with running(parts, quiet()) as team:
            for each in parts:
                assert each.log.read_text() == "listening\n"
            assert await team.during(asyncio.sleep(0, "done")) == "done"

    asyncio.run(work())
    assert (tmp_path / "journal").read_text().split() == ["third", "second", "first"]


def test_a_program_that_dies_at_start_takes_all_down_and_its_last_lines_are_shown(part: Make) -> None:
    good, broken = part("good"), part("broken", "import sys; print('no disk'); sys.exit(3)")
    with pytest.raises(StackError) as death:
        asyncio.run(run(good, broken))
    assert death.value.message == "broken stopped by itself with exit code 3; its last lines:\n  no disk"
    assert death.value.hint == f"the whole log is {broken.log}"
    with pytest.raises(httpx.ConnectError):
        httpx.get(good.ready, trust_env=False)


def test_only_the_last_lines_of_a_long_log_are_shown(part: Make) -> None:
    with pytest.raises(StackError) as death:
        asyncio.run(run(part("broken", "for n in range(1000): print('line', n)")))
    assert death.value.message.splitlines()[1:] == [f"  line {n}" for n in range(1000 - crew.TAIL_LINES, 1000)]


def test_a_program_that_is_killed_later_interrupts_the_work(part: Make) -> None:
    suicide = "import os, threading; threading.Timer(0.3, os.abort).start()" + SERVER

    async def work() -> None:
        async with running([part("good"), part("mortal", suicide)], quiet()) as team:
            await team.watch()

    with pytest.raises(StackError, match="mortal was killed by SIGABRT"):
        asyncio.run(work())


def test_work_that_fails_because_a_program_died_is_explained_by_the_death(part: Make) -> None:
    mortal = SERVER.replace(
        "def do_GET(self):", "def do_POST(self):\n        import os; os.abort()\n    def do_GET(self):"
    )

    async def work() -> None:
        each = part("mortal", mortal)
        async with running([each], quiet()) as team, httpx.AsyncClient(trust_env=False) as client:
            await team.during(client.post(each.ready))

    with pytest.raises(StackError, match="mortal was killed by SIGABRT"):
        asyncio.run(work())


def test_a_program_that_never_gets_ready_is_given_up_with_what_it_said(
    part: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "START_PATIENCE", 0.5)
    with pytest.raises(StackError, match=r"busy isn't ready after .* said 503 not yet"):
        asyncio.run(run(part("busy", status=503)))


def test_a_program_that_does_not_stop_is_killed(part: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "STOP_PATIENCE", 0.2)
    asyncio.run(run(part("stubborn", on_stop="signal.SIG_IGN")))


def test_the_work_s_own_error_comes_through_and_everything_is_stopped(part: Make, tmp_path: Path) -> None:
    async def fail() -> None:
        raise ValueError("of the work")

    async def work() -> None:
        async with running([part("good")], quiet()) as team:
            await team.during(fail())

    with pytest.raises(ValueError, match="of the work"):
        asyncio.run(work())
    assert (tmp_path / "journal").read_text().split() == ["good"]


def test_a_cancellation_from_within_is_not_taken_for_an_interrupt(part: Make) -> None:
    async def work() -> None:
        async with running([part("good")], quiet()):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_and_stops_everything(part: Make, tmp_path: Path, number: signal.Signals) -> None:
    async def work() -> None:
        async with running([part("good")], quiet()) as team:
            os.kill(os.getpid(), number)
            await team.watch()

    with pytest.raises(crew.Interrupted):
        asyncio.run(work())
    assert (tmp_path / "journal").read_text().split() == ["good"]


def test_a_second_signal_kills_what_does_not_stop(part: Make) -> None:
    async def work() -> None:
        async with running([part("stubborn", on_stop="signal.SIG_IGN")], quiet()) as team:
            asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            await team.watch()

    with pytest.raises(crew.Interrupted):
        asyncio.run(asyncio.wait_for(work(), crew.STOP_PATIENCE / 2))
