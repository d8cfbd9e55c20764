"""`llmtoken audit …`: the commands. As in `llmtoken.cli`, each only turns its options into a call."""
# ruff: noqa: PLC0415 - what does the work is imported when its command runs, so that `--help` is quick

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from llmtoken.cli.filters import filtered
from llmtoken.cli.options import ConfigFile, Json

audit_app = typer.Typer(help="Read the audit and look after its database.", no_args_is_help=True)

Database = Annotated[
    str | None,
    typer.Option(help="Path of the SQLite file, or a SQLAlchemy URL.", show_default="the configured database"),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV for programs.")]
Given = Mapping[str, str]
"""What was given of the options that `filtered` adds."""
Url = Annotated[
    str | None,
    typer.Option(
        help="Ask a running collector instead of the database, with the read token of LLMTOKEN_READ_TOKEN.",
        metavar="http://HOST:PORT",
        show_default=False,
    ),
]


@audit_app.command(name="list")
@filtered
def list_calls(
    *,
    given: Given,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Calls of a page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on behind the page that named it.", show_default=False)] = None,
    database: Database = None,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """List calls, newest first."""
    from llmtoken.cli.listing import list_calls as run
    from llmtoken.config import load

    form = _form(as_json=as_json, as_csv=as_csv)
    run(load(config, database=database), given, url=url, limit=limit, cursor=cursor, form=form)


@audit_app.command()
@filtered
def usage(
    *,
    given: Given,
    group_by: Annotated[
        str,
        typer.Option(
            help="hour, day or month (UTC), and model, response_model, provider, operation, consumer, status, error; "
            "with commas. Empty: one row for all.",
            metavar="NAMES",
        ),
    ] = "day",
    database: Database = None,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Add calls up: tokens, errors, cost, by day, model, consumer or whatever else is asked."""
    from llmtoken.cli.listing import usage as run
    from llmtoken.config import load

    form = _form(as_json=as_json, as_csv=as_csv)
    run(load(config, database=database), given, url=url, group_by=group_by, form=form)


@audit_app.command(name="show")
def show_call(
    request_id: Annotated[str, typer.Argument(help="Which call; llmtoken audit list shows them.")],
    *,
    bodies: Annotated[bool, typer.Option("--bodies", help="The bodies as they are stored.")] = False,
    database: Database = None,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show one call: the conversation, readably, and each number with its source."""
    from llmtoken.cli.show import show
    from llmtoken.config import load

    show(request_id, load(config, database=database), url=url, bodies=bodies, as_json=as_json)


@audit_app.command()
@filtered
def export(
    file: Annotated[
        str, typer.Argument(help="Where to: a path, whose ending may say the format; - is standard output.")
    ] = "-",
    *,
    given: Given,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="jsonl, csv, or parquet (needs the extra `parquet`).", show_default="by the name"
        ),
    ] = None,
    bodies: Annotated[bool, typer.Option("--bodies", help="With request and reply, as they are stored.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only calls with larger ids: those that arrived later.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was interrupted.")] = False,
    database: Database = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Copy calls to JSON lines, CSV or Parquet, in order of arrival, also while a collector runs.

    Exact: costs keep their digits, times are RFC 3339 in UTC, what nobody knows is null. A file appears
    when it is complete.
    """
    from llmtoken.cli.export import run
    from llmtoken.config import load

    settings = load(config, database=database)
    run(file, settings, given, format_=format_, bodies=bodies, after=after, resume=resume, as_json=as_json)


@audit_app.command()
def browse(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback needs a read token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8001,
    database: Database = None,
    config: ConfigFile = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Show it on an open address without a token.")] = False,
) -> None:
    """Show the audit in a browser, read-only, also while a collector runs. Needs the extra `browse`.

    The read token that guards the API guards this too: programs send it, people are asked for it.
    """
    from llmtoken.cli.browse import run
    from llmtoken.config import load

    run(load(config, database=database), host=host, port=port, insecure=insecure)


@audit_app.command()
def verify(
    *,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="End of a chain of seals that was noted before, and must be in it still. May be given several times.",
            metavar="HEX",
        ),
    ] = None,
    database: Database = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Hold every counter against the calls that it counts, and every call against its seal if there are seals.

    Also while a collector runs. Ends with 1 if anything differs.
    """
    from llmtoken.cli.audit import verify as run
    from llmtoken.config import load

    if not run(load(config, database=database), heads=head or [], as_json=as_json):
        raise typer.Exit(1)


@audit_app.command()
def prune(
    *,
    bodies: Annotated[
        str | None, typer.Option(help="Delete bodies of calls older than this: 30d, 12h.", show_default="retain_bodies")
    ] = None,
    calls: Annotated[
        str | None, typer.Option(help="Delete calls older than this, at least 1d.", show_default="retain_calls")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--bytes", help="Delete the oldest until the database holds no more.", show_default="retain_bytes"
        ),
    ] = None,
    show_log: Annotated[bool, typer.Option("--log", help="Show what was deleted so far, and delete nothing.")] = False,
    database: Database = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Delete old bodies and calls, also while a collector runs. Counters keep what they stand at."""
    from llmtoken.cli.prune import prune as run
    from llmtoken.cli.prune import show_log as run_log
    from llmtoken.config import load

    settings = load(config, database=database, retain_bodies=bodies, retain_calls=calls, retain_bytes=size)
    if show_log:
        run_log(settings, as_json=as_json)
    else:
        run(settings, as_json=as_json)


@audit_app.command()
def forget(
    *,
    consumer: Annotated[str, typer.Option(help="Whose bodies to delete, as the audit calls it.", metavar="NAME")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    database: Database = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Delete what a consumer sent and got, also while a collector runs. Numbers stay, and a proof of the deletion."""
    from llmtoken.cli.forget import forget as run
    from llmtoken.config import load

    run(load(config, database=database), consumer, dry_run=dry_run, as_json=as_json)


@audit_app.command()
def reprice(
    *,
    since: Annotated[str | None, typer.Option(help="Calls that came in then or later: a date, a time, or 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="Calls that came in before, likewise.")] = None,
    model: Annotated[str | None, typer.Option(help="Model that was asked for.")] = None,
    provider: Annotated[str | None, typer.Option(help="Whose API it is.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    show_log: Annotated[
        bool, typer.Option("--log", help="Show what was corrected so far, and change nothing.")
    ] = False,
    database: Database = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Correct what calls cost after a price changed, also while a collector runs. Shows the difference and asks first.

    Each call gets the price of its own day. Counters keep what they counted.
    """
    from llmtoken.audit import Filter
    from llmtoken.cli.reprice import reprice as run
    from llmtoken.cli.reprice import show_log as run_log
    from llmtoken.config import load

    settings = load(config, database=database)
    if show_log:
        run_log(settings, as_json=as_json)
    else:
        which = Filter.of(since=since, until=until, model=model, provider=provider)
        run(settings, which, dry_run=dry_run, yes=yes, as_json=as_json)


def _form(*, as_json: bool, as_csv: bool) -> Literal["table", "json", "csv"]:
    return "json" if as_json else "csv" if as_csv else "table"
