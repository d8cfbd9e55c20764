"""`llmtoken audit forget`: whose bodies are deleted, and the account of it."""

from __future__ import annotations

import json

from llmtoken import audit
from llmtoken.cli.console import out
from llmtoken.cli.deleting import pause, progress
from llmtoken.config import Settings
from llmtoken.redact import Redactor


def forget(settings: Settings, consumer: str, *, dry_run: bool, as_json: bool) -> None:
    """Delete the bodies of a consumer's calls, or only say how many there are."""
    names = _names(settings, consumer)
    with audit.open_beside(settings.database, seal_keys=settings.seal_keys) as editor:
        if dry_run:
            count = editor.forgettable(names)
        else:
            with progress() as advanced:
                count = editor.forget(names, pause=pause, advanced=advanced).done[0].count
    if as_json:
        told = {"consumer": consumer, "stored_as": sorted(names), "calls": count, "dry_run": dry_run}
        out.print_json(json.dumps(told))
    elif dry_run:
        out.print(f"{count:,} calls of {consumer} have bodies, which would be deleted", markup=False)
    else:
        out.print(f"The bodies of {count:,} calls of {consumer} are deleted; their numbers stay", markup=False)


def _names(settings: Settings, consumer: str) -> set[str]:
    """What the consumer is called in the audit: by name, and with a key by the name that stands for it."""
    if settings.redact_key is None:
        return {consumer}
    key = settings.redact_key.get_secret_value()
    return {consumer, Redactor(settings.redact, settings.redact_patterns, key).name(consumer)}
