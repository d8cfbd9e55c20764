"""Writing rows that may be there already, in either database's words, many at once.

The statement is SQLAlchemy's, made once; the rows go to the driver as they are, because looking at each of their
parameters would cost as much as writing them (bench/audit.py). Must not know what is written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

from llmtoken.audit import values

Merge = Callable[[ColumnElement[Any], ColumnElement[Any], str], ColumnElement[Any] | None]
"""What a column becomes, from the old value, the new one, and the dialect's name; `None`: it stays."""


def replaced(_: ColumnElement[Any], new: ColumnElement[Any], __: str) -> ColumnElement[Any]:
    """The new value."""
    return new


def upsert(connection: Connection, table: Table, rows: list[list[Any]], merge: Merge = replaced) -> None:
    """Write rows that have a value for each column of `table`, in order; its primary key says which are there."""
    if not rows:
        return
    statement, names, to_database = _prepared(table, merge, connection.dialect)
    for place, process in to_database:
        for row in rows:
            if row[place] is not None:
                row[place] = process(row[place])
    given: list[Any] = rows if names is None else [dict(zip(names, row, strict=True)) for row in rows]
    cursor = connection.connection.cursor()
    if len(given) == 1:
        cursor.execute(statement, given[0])
    else:
        cursor.executemany(statement, given)


_Process = Callable[[Any], Any]


@cache
def _prepared(
    table: Table, merge: Merge, dialect: Dialect
) -> tuple[str, tuple[str, ...] | None, tuple[tuple[int, _Process], ...]]:
    """The statement, its parameters' names where they aren't told by their place, and what values become."""
    insert = sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)
    merged = {c.name: merge(c, insert.excluded[c.name], dialect.name) for c in table.columns if not c.primary_key}
    news = {name: value for name, value in merged.items() if value is not None}
    names = tuple(column.name for column in table.columns)
    statement = insert.on_conflict_do_update(index_elements=[*table.primary_key], set_=news)
    compiled = statement.compile(dialect=dialect, column_keys=names)
    to_database = values.bound(table.columns, dialect)
    return str(compiled), None if compiled.positional else names, to_database
