"""Full-text search over what was said: SQLite's FTS5, only when the setting `search` says so.

The index keeps the words of a call's bodies under the call's id. Whoever stores bodies adds to it; triggers take
away what is deleted or changed, whichever program does that. Bodies from before it was switched on are indexed
piece by piece, the newest first, while the collector runs. Must not know how calls are stored.

A question is words that must all occur; "several in quotes" stay together, and `begin*` is any word that begins so.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, column, inspect, literal, literal_column, select, table

from llmtoken.audit import values
from llmtoken.audit.schema import bodies, calls
from llmtoken.audit.words import parted, words
from llmtoken.errors import DatabaseError, QueryError, tell

log = logging.getLogger(__name__)

_INDEX = table("search", column("rowid"), column("said"))
_PROGRESS = table("search_progress", column("indexed_from"))

_ON = (
    "CREATE VIRTUAL TABLE search USING fts5(said, tokenize = 'unicode61 remove_diacritics 2')",
    "CREATE TABLE search_progress (indexed_from INTEGER NOT NULL)",
    "INSERT INTO search_progress SELECT coalesce(max(id), 0) + 1 FROM calls",
    "CREATE TRIGGER search_deleted AFTER DELETE ON bodies BEGIN DELETE FROM search WHERE rowid = old.call_id; END",
    "CREATE TRIGGER search_changed AFTER UPDATE ON bodies BEGIN DELETE FROM search WHERE rowid = old.call_id; END",
)
_OFF = (
    "DROP TRIGGER search_deleted",
    "DROP TRIGGER search_changed",
    "DROP TABLE search_progress",
    "DROP TABLE search",
)

_PAGES = 64
"""Pages of the index that are written in one transaction."""

_HINT = 'ask for words, "words in quotes" that stay together, or begin* for how a word begins'


def is_on(connection: Connection) -> bool:
    """Whether bodies are indexed in this database."""
    return connection.dialect.name == "sqlite" and inspect(connection).has_table("search")


def switch(connection: Connection, *, on: bool) -> None:
    """Begin to index, or throw the index away, within the transaction that opens the database."""
    if on and connection.dialect.name != "sqlite":
        raise DatabaseError("search is for SQLite", hint="leave the setting search out, or keep the audit in a file")
    if on == is_on(connection):
        return
    if on and not connection.exec_driver_sql("SELECT sqlite_compileoption_used('ENABLE_FTS5')").scalar():
        raise DatabaseError("This Python's SQLite has no full-text search", hint="leave the setting search out")
    for statement in _ON if on else _OFF:
        connection.exec_driver_sql(statement)


def add(connection: Connection, said: Iterable[tuple[Any, str | None, str | None]]) -> None:
    """Index these bodies, each a call's id, request and reply, within the transaction that stores them."""
    rows = [(key, _words(key, request, reply)) for key, request, reply in said]
    if rows:
        connection.exec_driver_sql("INSERT INTO search (rowid, said) VALUES (?, ?)", rows)


def _words(key: int, request: str | None, reply: str | None) -> str:
    try:
        return words(request, reply)
    except Exception as error:  # noqa: BLE001 - told
        # A defect of ours must not stop the call from being stored, nor its neighbours.
        tell(log, error, "Could not index what was said in call %d: it is stored, but not found by its words", key)
        return ""


def index_older(connection: Connection, most: int) -> bool:
    """Index some bodies from before the index was there, in a transaction; whether there may be more."""
    before = connection.execute(select(_PROGRESS.c.indexed_from)).scalar_one()
    known = (bodies.c.call_id, bodies.c.request_body, bodies.c.response_body)
    older = select(*known).where(bodies.c.call_id < before).order_by(bodies.c.call_id.desc()).limit(most)
    rows = connection.execute(older).all()
    add(connection, (tuple(row) for row in rows))
    connection.exec_driver_sql("UPDATE search_progress SET indexed_from = ?", (rows[-1][0] if rows else 0,))
    return bool(rows)


def clear(connection: Connection, *, begin: bool) -> bool:
    """Take words of deleted bodies out of the index for good, a piece at a time; whether there may be more.

    Until then they stand in it with a mark that they are deleted: SQLite joins its parts when it likes.
    """
    if not is_on(connection):
        return False
    before = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
    pages = -_PAGES if begin else _PAGES  # less than none: begin with all parts there are
    connection.exec_driver_sql("INSERT INTO search (search, rank) VALUES ('merge', ?)", (pages,))
    changes: int = connection.exec_driver_sql("SELECT total_changes()").scalar_one() - before
    return changes > 1  # as SQLite's documentation has it


def newest(connection: Connection, query: Select[Any], asked: str, behind: int | None) -> Select[Any]:
    """Of the calls of a query those with these words, the last that arrived first. Raises `QueryError`."""
    if not is_on(connection):
        hint = "set search = true and start the collector anew; SQLite only"
        raise QueryError("What was said isn't indexed", hint=hint)
    matching = literal_column("search").op("MATCH")(literal(_expression(asked)))
    query = query.where(_INDEX.c.rowid == calls.c.id, matching)
    if behind is not None:
        query = query.where(_INDEX.c.rowid < behind)
    # By the index itself, which is quick; by time all that match would have to be sorted.
    return query.order_by(None).order_by(_INDEX.c.rowid.desc())


_TERM = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')


def _expression(asked: str) -> str:
    """The question in FTS5's words: nothing in it is syntax but the quotes and stars that we put there."""
    terms = []
    for quoted, star, bare in _TERM.findall(values.text(asked)):
        text = parted(quoted or bare.rstrip("*"))
        if any(character.isalnum() for character in text):
            terms.append(f'"{text}"' + "*" * bool(star or bare.endswith("*")))
    if not terms:
        raise QueryError(f"There is no word in {asked!r}", hint=_HINT)
    return " ".join(terms)
