"""Where recorded exchanges are kept, recognised by content: JSON lines (also gzipped), the seed's database, ours.

A source gives one item after the other and holds only that one. What can't be a report is an
item too, with its place and what was wrong, so that the rest goes on. Must not know where
reports go.
"""

from __future__ import annotations

import gzip
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, Protocol

from llmtoken import audit
from llmtoken.errors import DatabaseError, ReplayError, ReportError
from llmtoken.replay import recorded
from llmtoken.report import Report

_GZIP = b"\x1f\x8b"
_SQLITE = b"SQLite format 3\x00"
_HINT = "give JSON lines (reports or recorded exchanges, also gzipped), a token_stats database, or one of llmtoken"


@dataclass(frozen=True, slots=True)
class Item:
    """One recorded exchange, or what was wrong with it. `place` says where it stands, for people: `line 12`."""

    place: str
    report: Report | None = None
    error: str = ""
    size: int = 0
    """Bytes, about."""


class Source(Protocol):
    """Something to replay. `done` and `total` are in `unit`, for progress."""

    name: str
    unit: Literal["bytes", "rows"]
    total: int
    done: int

    def __iter__(self) -> Iterator[Item]:
        """Every item, in order. Raises `ReplayError` or `DatabaseError` when it can't go on."""


def open_source(location: str, *, max_line: int) -> Source:
    """Recognise what is at `location`: a path, or the URL of a database of ours.

    `max_line` is how long a line may be, in bytes. Raises `ReplayError`, or `DatabaseError`
    for a database that can't be read.
    """
    if "://" in location:
        return Audit(location)
    path = Path(location)
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    except OSError as error:
        raise ReplayError(f"Can't read {location}: {error.strerror}", hint=_HINT) from error
    if head == _SQLITE:
        return Seed(path) if _has_token_stats(path) else Audit(location)
    return Lines(path, gzipped=head.startswith(_GZIP), longest=max_line)


class Lines:
    """A file of JSON lines. A line that is too long is passed over without being held."""

    unit: Literal["bytes", "rows"] = "bytes"

    def __init__(self, path: Path, *, gzipped: bool, longest: int) -> None:
        self.name, self.total, self.done = str(path), path.stat().st_size, 0
        self._path, self._gzipped, self._longest = path, gzipped, longest

    def __iter__(self) -> Iterator[Item]:
        """Every line that isn't blank, numbered from 1 as editors do."""
        with self._path.open("rb") as file, gzip.open(file) if self._gzipped else file as stream:
            number = 0
            while True:
                number += 1
                try:
                    data = stream.readline(self._longest + 1)
                    too_long = len(data) > self._longest
                    if too_long:
                        _skip_line(data, stream)
                except (OSError, EOFError, zlib.error) as error:
                    yield Item(f"line {number}", error=f"The file can't be read any further: {error}")
                    return
                self.done = file.tell()
                if not data:
                    return
                if too_long:
                    yield Item(f"line {number}", error=f"The line is longer than {self._longest} bytes")
                elif not data.isspace():
                    yield _line(f"line {number}", data)


def _skip_line(data: bytes, stream: gzip.GzipFile | BufferedReader) -> None:
    while data and not data.endswith(b"\n"):
        data = stream.readline(1024 * 1024)


def _line(place: str, data: bytes) -> Item:
    try:
        return Item(place, report=recorded.line(data), size=len(data))
    except ReportError as error:
        return Item(place, error=error.message)


class Seed:
    """A `token_stats` database of the program that llmtoken grew from."""

    unit: Literal["bytes", "rows"] = "rows"

    def __init__(self, path: Path) -> None:
        self.name, self.done = str(path), 0
        self._path = path
        self.total = self._rows("SELECT count(*) AS rows FROM token_stats")[0]["rows"]

    def __iter__(self) -> Iterator[Item]:
        """Every row by its id; read in pieces, so that the program that still writes it is never shut out for long."""
        after = -1
        while rows := self._rows(_SEED_ROWS, after):
            for row in rows:
                after = row["id"]
                self.done += 1
                yield _row(f"row {after}", row, recorded.seed_row)

    def _rows(self, query: str, *parameters: int) -> list[dict[str, Any]]:
        try:
            with closing(_connect(self._path)) as connection:
                connection.row_factory = sqlite3.Row
                # What isn't UTF-8 costs its characters, not the row.
                connection.text_factory = _text
                return [dict(row) for row in connection.execute(query, parameters)]
        except sqlite3.Error as error:
            raise DatabaseError(f"Can't read {self._path}: {error}", hint="sqlite3 FILE .recover may help") from error


_SEED_ROWS = (
    "SELECT id, elapsed_time, timestamp, path, CAST(request_body AS TEXT) AS request_body, "
    "CAST(response_body AS TEXT) AS response_body FROM token_stats WHERE id > ? ORDER BY id LIMIT 16"
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


class Audit:
    """A database of llmtoken's own, whose stored bodies are read again."""

    unit: Literal["bytes", "rows"] = "rows"

    def __init__(self, database: str) -> None:
        self.name, self.done = audit.shown(database), 0
        self._database = database
        with audit.open_read_only(database) as reader:
            self.total = reader.count()

    def __iter__(self) -> Iterator[Item]:
        """Every call in order of arrival."""
        with audit.open_read_only(self._database) as reader:
            for call in reader.every():
                self.done += 1
                yield _row(f"call {call['request_id']}", call, recorded.stored_call)


def _row(place: str, row: Mapping[str, Any], mapped: recorded.Mapped) -> Item:
    size = len(row["request_body"] or "") + len(row["response_body"] or "")
    try:
        return Item(place, report=mapped(row), size=size)
    except ReportError as error:
        return Item(place, error=error.message)


def _has_token_stats(path: Path) -> bool:
    """Whether it is the seed's: ours has a view of that name, beside its own tables."""
    try:
        with closing(_connect(path)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'token_stats'")
            return found.fetchone() is not None
    except sqlite3.Error as error:
        raise DatabaseError(f"Can't read {path}: {error}", hint=_HINT) from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
