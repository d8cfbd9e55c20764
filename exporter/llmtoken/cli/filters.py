"""The options that say which calls are meant, for every command that takes them.

They are `llmtoken.audit.Filter`'s fields, written down here once more because importing it costs
`--help` half a second; a test holds the two together.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

OPTIONS = {
    "since": ("Calls that came in then or later: 2026-01-31, 2026-01-31T12:00:00Z (UTC), or an age: 7d, 12h.", "WHEN"),
    "until": ("Calls that came in before; written like --since.", "WHEN"),
    "model": ("Model that was asked for.", "NAME"),
    "response_model": ("Model that answered.", "NAME"),
    "provider": ("Whose API it is: openai, anthropic, ….", "NAME"),
    "operation": ("What was asked for: chat, embeddings, ….", "NAME"),
    "consumer": ("Who asked.", "NAME"),
    "status": ("HTTP status: 429, or a class: 5xx.", "STATUS"),
    "error": ("true: calls that failed; false: calls that didn't; else this kind of error.", "true|false|TYPE"),
    "q": ("Calls in which this was said, where the setting search is on. Only lists can be searched.", "WORDS"),
}
"""Each option's help, and what stands for its value."""

Command = Callable[..., None]


def filtered(command: Command) -> Command:
    """Give a command these options; what was given of them comes in as `given`."""
    own = inspect.signature(command, eval_str=True).parameters
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None, typer.Option(f"--{name.replace('_', '-')}", help=text, metavar=value, show_default=False)
            ],
        )
        for name, (text, value) in OPTIONS.items()
    ]
    mine = [parameter for name, parameter in own.items() if name != "given"]

    @functools.wraps(command)
    def run(**everything: Any) -> None:
        given = {name: value for name in OPTIONS if (value := everything.pop(name)) is not None}
        command(given=given, **everything)

    parameters = [*mine, *options]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # typer reads it
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
