"""Where a copy goes: a file that appears when it is complete, or a stream such as standard output."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from llmtoken.errors import ExportError

_SAVED = 1.0
"""Seconds between two notes of how far the copy is."""


class State(msgspec.Struct, frozen=True):
    """How far a copy has come, and everything that it needs to go on: kept beside the unfinished file."""

    database: str
    format: str
    bodies: bool
    filter: dict[str, object]
    after: int
    """The id of the last call in the file."""
    last: int
    """The id of the last call that belongs to the copy."""
    bytes: int
    """How long the file was then."""
    calls: int


class Target(Protocol):
    """Something to write to."""

    name: str
    begun: State | None
    """What is there already, if the copy goes on."""

    def open(self) -> AbstractContextManager[BinaryIO]:
        """The file to write to, at its end; leaving without an error completes it. Raises `ExportError`."""

    def size(self) -> int:
        """How long it is by now, in bytes; 0 where nobody can go on."""

    def save(self, state: State, *, now: bool = False) -> None:
        """Keep how far it is, if anybody can go on from there; `now`, or only now and then."""


class Stream:
    """A file that is open already; what was written can't be taken back."""

    begun: State | None = None

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self._file = file

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """See `Target`."""
        yield self._file
        self._file.flush()

    def size(self) -> int:
        """See `Target`."""
        return 0

    def save(self, state: State, *, now: bool = False) -> None:
        """See `Target`."""


class File:
    """A file that is written beside its name and takes it when it is complete. It is its owner's alone: see `open`."""

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.name = str(path)
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._notes = path.with_name(f"{path.name}.part.json")
        self._saved = 0.0
        self.begun = self._state() if resume else None

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """See `Target`. Prompts are nobody else's business, so nobody else may read the file."""
        with _explained(self._part):
            self._file = self._opened()
        try:
            yield self._file
            with _explained(self._part):
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            # Why it could not be written is on its way already.
            with suppress(OSError):
                self._file.close()
        with _explained(self._path):
            self._part.replace(self._path)
            self._notes.unlink(missing_ok=True)

    def size(self) -> int:
        """See `Target`."""
        return self._file.tell()

    def _opened(self) -> BinaryIO:
        begun = self.begun
        if begun is None:
            self._notes.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | (0 if begun else os.O_TRUNC)
        file = os.fdopen(os.open(self._part, flags, 0o600), "r+b", buffering=1024 * 1024)
        if begun is not None:
            if file.seek(0, os.SEEK_END) < begun.bytes:
                file.close()
                raise ExportError(f"{self._part} has got shorter", hint="export anew, without --resume")
            file.truncate(begun.bytes)
            file.seek(begun.bytes)
        return file

    def save(self, state: State, *, now: bool = False) -> None:
        """See `Target`."""
        if not now and time.monotonic() - self._saved < _SAVED:
            return
        with _explained(self._part):
            self._file.flush()
            new = self._notes.with_name(f"{self._notes.name}.new")
            new.write_bytes(msgspec.json.encode(state))
            new.replace(self._notes)
        self._saved = time.monotonic()

    def _state(self) -> State:
        try:
            return msgspec.json.decode(self._notes.read_bytes(), type=State)
        except FileNotFoundError as error:
            raise ExportError(
                f"There is no export to {self.name} that could go on", hint="leave --resume out to begin one"
            ) from error
        except (OSError, msgspec.MsgspecError) as error:
            raise ExportError(f"Can't read {self._notes}: {error}", hint="export anew, without --resume") from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"Can't write {path}: {error.strerror}", hint="its folder must exist, be yours to write to, and have room"
        ) from error
