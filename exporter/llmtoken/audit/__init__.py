"""The audit: every call on record, in SQLite or PostgreSQL, through SQLAlchemy Core.

Owns the schema, its migrations, the one writer and the reads. Must not know HTTP or
OpenTelemetry: it takes `Record`s and gives JSON-ready dicts with the keys of DESIGN §5.
What is in the tables and how to query them: docs/audit.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from llmtoken.audit import migrate
from llmtoken.audit import search as full_text
from llmtoken.audit.balance import Balance
from llmtoken.audit.boots import Boots
from llmtoken.audit.check import Check
from llmtoken.audit.connect import Connections, connect, connect_beside, connect_read_only, shown
from llmtoken.audit.counters import Counters
from llmtoken.audit.editor import Editor
from llmtoken.audit.failures import explained
from llmtoken.audit.filter import Filter
from llmtoken.audit.indexer import Indexer
from llmtoken.audit.listing import MOST as MOST_CALLS
from llmtoken.audit.listing import Page
from llmtoken.audit.pruner import Pruner
from llmtoken.audit.prunings import Pruned
from llmtoken.audit.reader import Reader
from llmtoken.audit.reprice import Advanced, Repricing
from llmtoken.audit.repricings import Repriced
from llmtoken.audit.retention import Progress, Rules, Summary
from llmtoken.audit.rollups import MEANINGS as USAGE_MEANINGS
from llmtoken.audit.schema import MEANINGS
from llmtoken.audit.seals import sealing
from llmtoken.audit.seals.chain import Keys
from llmtoken.audit.seals.proof import Proof
from llmtoken.audit.seals.sealing import Sealer
from llmtoken.audit.usage import GROUPS as USAGE_GROUPS
from llmtoken.audit.writer import Audit

__all__ = [
    "MEANINGS",
    "MOST_CALLS",
    "USAGE_GROUPS",
    "USAGE_MEANINGS",
    "Advanced",
    "Audit",
    "Balance",
    "Check",
    "Editor",
    "Filter",
    "Indexer",
    "Page",
    "Progress",
    "Proof",
    "Pruned",
    "Pruner",
    "Reader",
    "Repriced",
    "Repricing",
    "Rules",
    "Summary",
    "open",
    "open_beside",
    "open_read_only",
    "shown",
]


def open(  # noqa: A001 - audit.open reads well
    database: str,
    *,
    instance: str = "",
    rules: Rules | None = None,
    busy_timeout: float = 5.0,
    search: bool | None = None,
    seals: bool = False,
    seal_keys: Sequence[str] = (),
    clock: Callable[[], float] = time.time,
) -> Audit:
    """Open `database` (a path or a SQLAlchemy URL) for a collector; create or migrate it first.

    `instance` names whose counters these are, and is what `llmtoken.audit.connect` says when it is empty.
    `rules` are those that it will be pruned by: PostgreSQL's partitions are made so that they can be dropped whole.
    `busy_timeout`: how long to wait for another program's lock, in seconds.
    `search` says whether what was said is indexed from now on; `None` leaves that as it is.
    `seals` says whether calls are sealed from now on, with the first of `seal_keys` if there is one.
    `clock` says, in seconds, how long a report has been missing; it goes on while no collector runs.
    Raises `DatabaseError`: not a database, damaged, of a newer version, somebody else's, in
    use by another collector, locked, not writable, or sealed with a key that isn't among `seal_keys`. The file is
    then left as it was.
    """
    keys = Keys(seal_keys)
    with explained(shown(database)):
        connections = connect(database, busy_timeout=busy_timeout, instance=instance)
        try:
            # Looked at before the writer touches it: that one turns the file to WAL.
            with connections.reader.connect() as connection:
                migrate.check(connection)
            with connections.writer.begin() as connection:
                migrate.upgrade(connection)
                if search is not None:
                    full_text.switch(connection, on=search)
                searched = full_text.is_on(connection)
                counters = Counters(connections.instance, connection)
                boots = Boots(connections.instance, connection)
                sealing.begin(connection, connections.instance, keys, on=seals)
        except BaseException:
            connections.close()
            raise
    return Audit(
        connections,
        counters,
        boots,
        keys,
        Sealer(connections.instance, keys, on=seals),
        clock=clock,
        spans=(rules or Rules()).spans,
        searched=searched,
    )


def open_beside(database: str, *, busy_timeout: float = 30.0, seal_keys: Sequence[str] = ()) -> Editor:
    """Open `database` to change what is stored, while a collector may be using it. Raises `DatabaseError` likewise.

    `seal_keys` are those of the collector, if it has any.
    """
    return Editor(_present(database, connect_beside, busy_timeout), Keys(seal_keys))


def open_read_only(database: str, *, busy_timeout: float = 5.0) -> Reader:
    """Open `database` for reading alone, also while a collector uses it. Raises `DatabaseError`."""
    return Reader(_present(database, connect_read_only, busy_timeout))


def _present(database: str, connect_to: Callable[..., Connections], busy_timeout: float) -> Connections:
    """Connections to a database that is there, in the form that this version knows."""
    with explained(shown(database)):
        connections = connect_to(database, busy_timeout=busy_timeout)
        try:
            with connections.reader.connect() as connection:
                migrate.require_newest(connection)
        except BaseException:
            connections.close()
            raise
    return connections
