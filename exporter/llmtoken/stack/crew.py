"""Programs run together: started, awaited until they are ready, watched, stopped in order.

What runs is the caller's business (`parts`). One that dies takes all down, with the last
lines of its log; nothing outlives us (`leash`).
"""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import httpx
from rich.console import Console

from llmtoken.errors import StackError
from llmtoken.stack.leash import Leash

START_PATIENCE = 60.0
"""Seconds that a program gets to become ready: a slow disk or a busy machine must not fail a good start."""
STOP_PATIENCE = 15.0
"""Seconds that a program gets to stop. Traefik gives open requests 10 of them."""
POLL = 0.05
"""Seconds between two questions whether a program is ready."""
DEATH_PATIENCE = 1.0
"""Seconds that a death may take to become known after work has failed."""
TAIL_LINES = 15

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One program of the stack."""

    name: str
    command: tuple[str, ...]
    ready: str
    """URL that answers 200 when the program can do its work."""
    log: Path
    directory: Path
    environment: Mapping[str, str]


class Interrupted(Exception):
    """Ctrl-C, SIGTERM or a closed terminal ended the work; everything is stopped."""


class Crew:
    """The programs that run."""

    def __init__(self, leash: Leash) -> None:
        self._leash = leash
        self._running: list[tuple[Part, Process]] = []
        self._hurry = asyncio.Event()
        self._interrupted = False

    async def start(self, part: Part) -> None:
        """Start one program. Its output goes to its log, which begins anew."""
        with part.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                cwd=part.directory,
                env=part.environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,  # Ctrl-C is ours alone: we stop the programs in order
            )
        self._leash.hold(process.pid)
        self._running.append((part, process))

    async def during(self, work: Awaitable[T]) -> T:
        """Do some work while all programs run. Raises `StackError` as soon as one of them dies."""
        task = asyncio.ensure_future(work)
        deaths = {asyncio.ensure_future(process.wait()): part for part, process in self._running}
        try:
            await asyncio.wait((task, *deaths), return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not task.cancelled() and task.exception():
                # A program's death breaks connections before it is known itself.
                await asyncio.wait(deaths, timeout=DEATH_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            for death, part in deaths.items():
                if death.done():
                    _died(part, death.result())
            return await task
        finally:
            for future in (task, *deaths):
                future.cancel()
            await asyncio.gather(task, *deaths, return_exceptions=True)

    async def ready(self) -> None:
        """Return when every program is ready. Raises `StackError` when one dies or isn't ready in time."""
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            waits = (_until_ready(client, part) for part, _ in self._running)
            await self.during(asyncio.gather(*waits))

    async def watch(self) -> None:
        """Never return; raise `StackError` when a program dies."""
        await self.during(asyncio.Event().wait())

    async def stop(self) -> None:
        """Stop the programs one after the other, the last started first."""
        while self._running:
            _, process = self._running[-1]
            await self._stop(process)
            self._leash.release(process.pid)
            self._running.pop()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a first signal end the current task by `Interrupted`, and a second kill what hasn't stopped yet."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task  # noqa: S101 - we are in a coroutine

        def interrupt() -> None:
            if self._interrupted:
                self._hurry.set()
            else:
                self._interrupted = True
                task.cancel()

        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, interrupt)
        try:
            yield
        except asyncio.CancelledError:
            if self._interrupted:
                raise Interrupted from None
            raise
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    async def _stop(self, process: Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        gone, hurried = asyncio.ensure_future(process.wait()), asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait({gone, hurried}, timeout=STOP_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        with suppress(ProcessLookupError):
            process.kill()
        await gone


@asynccontextmanager
async def running(parts: Sequence[Part], progress: Console) -> AsyncIterator[Crew]:
    """Start programs, wait until all are ready, and stop them at the end, whatever the end is.

    Raises `Interrupted` on Ctrl-C, SIGTERM or a closed terminal; a second one kills.
    """
    with Leash() as leash:
        crew = Crew(leash)
        with crew.interruptible():
            try:
                with progress.status(f"Starting {', '.join(part.name for part in parts)} …"):
                    for part in parts:
                        await crew.start(part)
                    await crew.ready()
                yield crew
            finally:
                with progress.status("Stopping; Ctrl-C again kills …"):
                    await crew.stop()


async def _until_ready(client: httpx.AsyncClient, part: Part) -> None:
    said = "nothing"
    try:
        async with asyncio.timeout(START_PATIENCE):
            while True:
                try:
                    reply = await client.get(part.ready)
                except httpx.HTTPError as error:
                    said = str(error)
                else:
                    if reply.is_success:
                        return
                    said = f"{reply.status_code} {reply.text}"
                await asyncio.sleep(POLL)
    except TimeoutError as error:
        raise StackError(
            f"{part.name} isn't ready after {START_PATIENCE:.0f} s: {part.ready} said {said}\n{_tail(part.log)}",
            hint=f"the whole log is {part.log}",
        ) from error


def _died(part: Part, code: int) -> NoReturn:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"stopped by itself with exit code {code}"
    raise StackError(f"{part.name} {how}; its last lines:\n{_tail(part.log)}", hint=f"the whole log is {part.log}")


def _tail(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (it said nothing)"
