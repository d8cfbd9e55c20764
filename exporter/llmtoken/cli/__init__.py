"""The commands. Each only turns its options into a call of the module that does the work.

Those modules are imported when their command runs, so that `--help` is quick.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from llmtoken.cli.audit_commands import audit_app
from llmtoken.cli.options import ConfigFile, Json
from llmtoken.errors import LlmtokenError

app = typer.Typer(
    help="llmtoken: the open-source LLM meter for Traefik.",
    epilog="Errors end with exit code 2 and say what to do. Settings: docs/configuration.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(audit_app, name="audit")

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port of the collector; 0 takes a free one.", show_default="8000")
]
Data = Annotated[Path, typer.Option("--data", help="Folder for the database, logs and generated files.")]


def main() -> None:
    """Run the command line. Our own errors end with exit code 2, their message and hint, no traceback."""
    try:
        app()
    except LlmtokenError as error:
        _show(error)
        sys.exit(2)


@app.command()
def serve(
    *,
    host: Host = None,
    port: Port = None,
    database: Annotated[
        str | None,
        typer.Option(help="Path of the SQLite file, or a SQLAlchemy URL.", show_default="llmtoken.db"),
    ] = None,
    config: ConfigFile = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen on an open address without tokens.")] = False,
) -> None:
    """Run the collector: take reports, keep the audit, serve /metrics."""
    from llmtoken.config import load
    from llmtoken.stack.ports import Ports

    settings = load(config, host=host, port=port, database=database, insecure=insecure or None)
    if settings.port:
        Ports().claim(settings.host, settings.port, owner="the collector", option="--port")

    from llmtoken import server

    server.run(settings)


@app.command()
def up(
    *,
    upstream: Annotated[
        str | None,
        typer.Option(help="The model server, such as http://127.0.0.1:11434.", show_default="a demo model server"),
    ] = None,
    port: Port = None,
    traefik_port: Annotated[int, typer.Option(min=0, max=65535, help="Port that clients talk to.")] = 8088,
    prometheus_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of Prometheus, when it is installed.")
    ] = 9090,
    data: Data = Path("data"),
    config: ConfigFile = None,
) -> None:
    """Run everything here, without Docker: collector, Traefik with the plugin, Prometheus."""
    from llmtoken import stack
    from llmtoken.cli.console import err, out

    stack.up(
        stack.Options(
            upstream=upstream,
            port=port,
            traefik_port=traefik_port,
            prometheus_port=prometheus_port,
            data=data,
            config=config,
        ),
        out,
        err,
    )


@app.command()
def demo() -> None:
    """Send a few requests through everything, show what was counted, and check every number."""
    from llmtoken.cli.console import err, out
    from llmtoken.stack.demo import demo as run

    run(out, err)


@app.command()
def replay(
    source: Annotated[
        str,
        typer.Argument(
            help="JSON lines (the plugin's reports or recorded exchanges, also gzipped), a token_stats database, "
            "or a database of llmtoken; recognised by content.",
            metavar="FILE|DATABASE",
        ),
    ],
    *,
    to: Annotated[
        str | None,
        typer.Option(
            help="A database (made if it isn't there), or the URL of a running collector.",
            metavar="DATABASE|URL",
            show_default="the configured database",
        ),
    ] = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Feed recorded exchanges through the pipeline; what is known already counts nothing twice.

    The metrics of a running collector only move with --to URL. Ends with 1 if something was rejected.
    """
    from llmtoken.cli.replay import run

    if not run(source, to=to, config=config, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def explain(
    exchange: Annotated[
        str,
        typer.Argument(
            help="A file with a report or a recorded exchange (or lines of them), or the request_id of a call in the "
            "database.",
            metavar="FILE|REQUEST_ID",
        ),
    ],
    *,
    line: Annotated[int | None, typer.Option(min=1, help="Which line of the file.", show_default="1")] = None,
    database: Annotated[
        str | None,
        typer.Option(help="Where the request_id is looked up.", show_default="the configured database"),
    ] = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say how one exchange is read, step by step, and which rule gives which number."""
    from llmtoken.cli.explain import show

    show(exchange, line=line, database=database, config=config, as_json=as_json)


@app.command()
def prices(
    model: Annotated[str, typer.Argument(help="Name of a model, as a client or a reply says it.")],
    *,
    provider: Annotated[
        str | None, typer.Option(help="Whose API it is, such as openai.", show_default="all that have it")
    ] = None,
    at: Annotated[str | None, typer.Option(help="The price of this day or time.", show_default="now")] = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show what a model costs, by the setting `prices` and by the public list. Ends with 1 if nobody knows."""
    from datetime import UTC, datetime

    from llmtoken.audit import Filter
    from llmtoken.cli.prices import show
    from llmtoken.config import load

    moment = Filter.of(since=at).since or datetime.now(UTC)
    if not show(load(config), model, provider, at=moment, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def check_config(config: ConfigFile = None, as_json: Json = False) -> None:
    """Show every setting, its value and where that comes from. Secrets are masked."""
    from llmtoken.cli.settings import show

    show(config, as_json=as_json)


@app.command()
def version(as_json: Json = False) -> None:
    """Print the version."""
    import json

    from llmtoken import __version__

    typer.echo(json.dumps({"version": __version__}) if as_json else __version__)


def _show(error: LlmtokenError) -> None:
    from rich.text import Text

    from llmtoken.cli.console import err

    err.print(Text(error.message, style="red"), soft_wrap=True)
    err.print(Text(f"→ {error.hint}"), soft_wrap=True)
