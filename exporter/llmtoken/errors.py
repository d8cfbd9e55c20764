"""The exception tree. Every error says what was wrong and how to mend it.

LlmtokenError
├── ConfigError            a setting is wrong; the program does not start
├── ReportError            a report can't be accepted as it stands
│   ├── NotJSON            … because it isn't JSON at all
│   └── TooLarge           … because it passes a size limit
├── DecodeError            a captured body can't be turned into text or events
├── Unavailable            we can't promise to keep a report now; try again later
│   ├── QueueFull          … because too much is waiting
│   ├── TooOften           … because this client has tried too often
│   └── StorageUnavailable … because the database can't take it
├── DatabaseError          the database can't be opened or isn't ours
├── StackError             a program that `llmtoken up` runs can't start, or has died
├── ReplayError            recorded exchanges can't be read, or where they should go takes nothing
├── ExportError            a copy of the audit can't be written, or not gone on with
├── QueryError             what is asked of the audit can't be answered as it is asked
├── NotFound               the record asked for doesn't exist
└── Unauthorized           a valid token is missing
"""

from __future__ import annotations

import logging
import traceback
from pathlib import PurePath


class LlmtokenError(Exception):
    """Base of all our errors: a message (what, where) and a hint (how to mend it)."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class ConfigError(LlmtokenError):
    """A setting is missing, wrong or unsafe."""


class ReportError(LlmtokenError):
    """A report breaks its schema or its bounds."""


class NotJSON(ReportError):
    """The report isn't a JSON object."""


class TooLarge(ReportError):
    """A request, line or decompressed body passes its limit."""


class DecodeError(LlmtokenError):
    """A captured body is damaged or passes the decompression cap."""


class Unavailable(LlmtokenError):
    """Nothing is wrong with the report; we can't keep it now.

    `retry_after` is how long to wait before the next try, in seconds.
    """

    def __init__(self, message: str, *, hint: str, retry_after: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class QueueFull(Unavailable):
    """Too many reports, or too many bytes of them, are waiting for the database."""


class TooOften(Unavailable):
    """One client has shown wrong tokens too often."""


class StorageUnavailable(Unavailable):
    """The database refused the rows: disk full, locked or gone."""


class DatabaseError(LlmtokenError):
    """The database can't be opened: corrupt, of a newer version, or used by another collector."""


class StackError(LlmtokenError):
    """A program that `llmtoken up` runs beside the collector is missing, can't start, or has died."""


class ReplayError(LlmtokenError):
    """A recording isn't one, or the collector that it is sent to can't be reached or refuses everything."""


class ExportError(LlmtokenError):
    """Where a copy should go takes nothing, or what was begun can't go on."""


class QueryError(LlmtokenError):
    """A filter, a grouping, a limit or a cursor is wrong."""


class NotFound(LlmtokenError):
    """There is no such record."""


class Unauthorized(LlmtokenError):
    """The request doesn't carry a valid token."""


def where(error: BaseException) -> str:
    """An error's kind and the places that it came through, innermost first. Not its words: they may quote a prompt."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places or 'an unknown place'}"


def tell(log: logging.Logger, error: BaseException, message: str, *args: object) -> None:
    """Log a defect of ours, without a word of what was being read.

    The error itself goes along as the record's `defect`, for those who may see it.
    """
    log.error(f"{message}: %s", *args, where(error), extra={"defect": error})  # noqa: G004 - written by us
