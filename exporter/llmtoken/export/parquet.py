"""Parquet, by PyArrow (the extra `parquet`)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, BinaryIO

from llmtoken.audit.blocks import Field, Kind, Row
from llmtoken.errors import ConfigError, ExportError

_ROWS = 50_000
"""Rows of a group; readers skip groups as a whole."""
_CHARACTERS = 64 * 1024 * 1024
"""Text of a group, so that bodies don't fill the memory."""
_DECIMALS = 23
"""Digits behind the point, 15 before it, are the 38 that Parquet's readers know."""


class Parquet:
    """Rows in typed columns: money as decimals, times as timestamps in UTC, JSON as its text."""

    def __init__(self, file: BinaryIO, fields: Sequence[Field]) -> None:
        try:
            self._arrow: Any = import_module("pyarrow")
            parquet: Any = import_module("pyarrow.parquet")
        except ModuleNotFoundError as error:
            raise ConfigError("Parquet needs the pyarrow package", hint="pip install 'llmtoken[parquet]'") from error
        self._fields = fields
        self._schema = self._arrow.schema([(field.name, self._type(field.kind)) for field in fields])
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._texts = [index for index, field in enumerate(fields) if field.name.endswith("_body")]
        self._rows: list[Row] = []
        self._size = 0

    def write(self, rows: Sequence[Row]) -> None:
        """See `llmtoken.export.formats.Writer`."""
        self._rows.extend(rows)
        self._size += sum(len(row[index] or "") for row in rows for index in self._texts)
        if len(self._rows) >= _ROWS or self._size >= _CHARACTERS:
            self._flush()

    def close(self) -> None:
        """See `llmtoken.export.formats.Writer`."""
        try:
            if self._rows:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        rows, self._rows, self._size = self._rows, [], 0
        values = zip(*rows, strict=True)
        columns = [self._column(field, column) for field, column in zip(self._fields, values, strict=True)]
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))

    def _column(self, field: Field, values: Sequence[Any]) -> Any:
        arrow = self._arrow
        if field.kind not in ("time", "money"):
            return arrow.array(values, self._type(field.kind))
        try:
            return arrow.array(values, arrow.string()).cast(self._type(field.kind))
        except arrow.ArrowInvalid as error:
            raise ExportError(
                f"Parquet has no room for a value of {field.name}: {error}", hint="export to JSON lines or CSV"
            ) from error

    def _type(self, kind: Kind) -> Any:
        arrow = self._arrow
        match kind:
            case "integer":
                return arrow.int64()
            case "number":
                return arrow.float64()
            case "boolean":
                return arrow.bool_()
            case "time":
                return arrow.timestamp("us", "UTC")
            case "money":
                return arrow.decimal128(38, _DECIMALS)
            case "text" | "json":
                return arrow.string()
