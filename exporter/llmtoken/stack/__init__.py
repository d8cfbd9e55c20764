"""`llmtoken up`: the collector, Traefik with the plugin, and Prometheus, without Docker.

- `ports`, `programs`, `shipped`, `upstream`: what can be checked before anything runs
- `plan`: which programs, with which configuration
- `crew`, `leash`: run them, watch them, stop them, whatever happens
- `guide`: what to tell the user
- `demo`: the same stack, with requests sent through it and every number checked
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from rich.console import Console

from llmtoken.stack import crew, guide, plan, upstream
from llmtoken.stack.plan import Options

__all__ = ["Options", "up"]


def up(options: Options, out: Console, progress: Console) -> None:
    """Run the stack until Ctrl-C or SIGTERM.

    Raises `ConfigError` or `StackError` when it can't start, or when one of its programs dies.
    """
    with suppress(crew.Interrupted):
        asyncio.run(_up(options, out, progress))


async def _up(options: Options, out: Console, progress: Console) -> None:
    planned = plan.make(options)
    async with crew.running(planned.parts, progress) as team:
        answer = await upstream.ask(planned.upstream)
        for remark in guide.remarks(planned, answer):
            progress.print(remark, style="yellow")
        _tell(planned, answer, out)
        await team.watch()


def _tell(planned: plan.Plan, answer: upstream.Answer, out: Console) -> None:
    """Say where things are and what to try. Commands are never wrapped: they are there to be copied."""
    out.print("\nllmtoken is up. Ctrl-C stops it.\n", style="bold")
    for name, address, purpose in guide.where(planned):
        out.print(f"  {name:<11} {address}  [dim]{purpose}[/]", soft_wrap=True, highlight=False)
    out.print("\nTry:\n", style="bold")
    for purpose, command in guide.what_next(planned, answer):
        out.print(f"  # {purpose}", style="dim")
        out.print(f"  {command}\n", soft_wrap=True, highlight=False, markup=False)
