"""How rows are written: JSON lines and CSV; `parquet` has a module of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import Any, BinaryIO, Literal, Protocol

import msgspec

from llmtoken.audit.blocks import Field, Row
from llmtoken.errors import ConfigError

Format = Literal["jsonl", "csv", "parquet"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "parquet")

_ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def format_of(name: str) -> Format:
    """The format that a file's name says. Raises `ConfigError` when it says none."""
    ending = PurePath(name).suffix.lower()
    if ending not in _ENDINGS:
        raise ConfigError(
            f"Nothing says which format {name} shall have",
            hint=f"give --format {'|'.join(FORMATS)}, or a name that ends with {', '.join(_ENDINGS)}",
        )
    return _ENDINGS[ending]


class Writer(Protocol):
    """Writes rows into a file that is open."""

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows."""

    def close(self) -> None:
        """Write what is still held, and the end if the format has one; the file stays open."""


class JsonLines:
    """A JSON object a line."""

    def __init__(self, file: BinaryIO, fields: Sequence[Field]) -> None:
        self._file = file
        # Objects of a class of their own are made and written faster than dicts.
        self._object = msgspec.defstruct("Call", [(field.name, Any) for field in fields], gc=False)
        self._json = [index for index, field in enumerate(fields) if field.kind == "json"]
        self._encode = msgspec.json.Encoder().encode_lines

    def write(self, rows: Sequence[Row]) -> None:
        """See `Writer`."""
        known: dict[str | None, msgspec.Raw | None] = {None: None}
        objects = []
        for row in rows:
            values = list(row)
            for index in self._json:
                text = values[index]
                if text not in known:
                    known[text] = msgspec.Raw(text.encode())
                values[index] = known[text]
            objects.append(self._object(*values))
        self._file.write(self._encode(objects))

    def close(self) -> None:
        """See `Writer`."""


class Csv:
    """A line of names, then a line a call; see `csv_line`."""

    def __init__(self, file: BinaryIO, fields: Sequence[Field], *, header: bool = True) -> None:
        self._file = file
        if header:
            file.write(csv_line([field.name for field in fields]).encode())

    def write(self, rows: Sequence[Row]) -> None:
        """See `Writer`."""
        self._file.write("".join(map(csv_line, rows)).encode())

    def close(self) -> None:
        """See `Writer`."""


def csv_line(values: Iterable[Any]) -> str:
    """Values as a line of CSV, as RFC 4180 says but for the line feed alone; lists and objects are JSON.

    Python's csv module can't tell null from an empty text before 3.12. Here, as in PostgreSQL's,
    null is nothing and an empty text is `""`.
    """
    return ",".join([_AS_TEXT[type(value)](value) for value in values]) + "\n"


_SPECIAL = re.compile(r'[",\r\n]')


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if not text or _SPECIAL.search(text) else text


def _json(value: Any) -> str:
    return _quoted(msgspec.json.encode(value).decode())


_AS_TEXT: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    str: _quoted,
    int: str,
    float: repr,
    bool: lambda value: "true" if value else "false",
    list: _json,
    dict: _json,
}
