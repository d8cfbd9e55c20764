"""Content codings undone: gzip, deflate (zlib and raw), br, zstd, also stacked, under one cap.

Owns what the header and the bytes together say. A coding may be named although the body is
stored decoded, or be missing although the body is gzip: the bytes decide. Whatever was
unpacked before the end, damage or the cap is kept. Must not know what the content means.

Source: https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import brotli  # type: ignore[import-untyped] # has no types
import zstandard

MAX_LAYERS = 4
"""Codings that are undone one after the other; nobody honest stacks more than two."""
MAX_MEMBERS = 10_000
"""Members of one gzip or zstd body; each costs time even when it is empty."""
MAX_WINDOW = 8 * 1024 * 1024
"""Memory that a zstd frame may ask for, as RFC 9659 limits it for this coding."""

_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_IDENTITY = frozenset({"", "identity", "none", "aws-chunked"})
_TRAILER = 8
"""A gzip trailer, fed alone: a wrong checksum then doesn't cost the content before it."""


class Content(NamedTuple):
    """A body without its codings. `coded` is true when offsets in `data` aren't the wire's."""

    data: bytes
    coded: bool = False
    cut: bool = False
    """The compressed stream stops before its end, or the cap was reached."""
    problems: tuple[str, ...] = ()


def decoded(data: bytes, codings: str, *, limit: int) -> Content:
    """Undo the codings of a Content-Encoding header, last first; never give more than `limit` bytes.

    Problems: `content_encoding` for a coding that is unknown or damaged, `too_large` at the cap.
    """
    if not codings and len(data) <= limit and not data.startswith((_GZIP, _ZSTD)):
        return Content(data)
    if codings == "gzip" and (made := _one_member(data, limit)) is not None:
        return Content(made, coded=True)
    names = [name for part in codings.lower().split(",") if (name := part.strip()) not in _IDENTITY]
    if not names and data.startswith((_GZIP, _ZSTD)):
        names = ["gzip" if data.startswith(_GZIP) else "zstd"]
    if len(names) > MAX_LAYERS:
        return Content(data[:limit], coded=True, cut=len(data) > limit, problems=("content_encoding",))
    content = Content(data, coded=bool(names))
    for name in reversed(names):
        content = _undone(content, name, limit)
        if content.cut or content.problems:
            break
    if len(content.data) > limit:
        return content._replace(data=content.data[:limit], cut=True, problems=(*content.problems, "too_large"))
    return content


def _one_member(data: bytes, limit: int) -> bytes | None:
    """What whole gzip of one member holds, in one step; `None` for anything else."""
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        made = stream.decompress(data, limit + 1)
    except zlib.error:
        return None
    return made if stream.eof and not stream.unused_data and len(made) <= limit else None


def is_plain(data: bytes) -> bool:
    """Whether bytes begin like text, which nothing compressed does."""
    head = data[:1024]
    if _CONTROL.search(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and len(data) > len(head)
    return True


_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


class _Stream(Protocol):
    def feed(self, piece: bytes, room: int) -> bytes:
        """What a piece unpacks to; more than `room` bytes, though not many more, if there are more."""

    def finished(self) -> bool:
        """Whether the stream, or this member of it, has come to its end."""

    def unused(self) -> bytes:
        """The bytes of the last piece behind that end."""


class _Zlib:
    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)

    def feed(self, piece: bytes, room: int) -> bytes:
        return self._stream.decompress(piece, room + 1)

    def finished(self) -> bool:
        return self._stream.eof

    def unused(self) -> bytes:
        return self._stream.unused_data


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def feed(self, piece: bytes, room: int) -> bytes:
        made = self._stream.process(piece, output_buffer_limit=room + 1)
        while len(made) <= room and not self._stream.can_accept_more_data() and not self.finished():
            made += self._stream.process(b"", output_buffer_limit=room + 1 - len(made))
        return bytes(made)

    def finished(self) -> bool:
        return bool(self._stream.is_finished())

    def unused(self) -> bytes:
        return b""


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()

    def feed(self, piece: bytes, room: int) -> bytes:  # noqa: ARG002 - the size of a piece bounds it
        return self._stream.decompress(piece)

    def finished(self) -> bool:
        return self._stream.eof

    def unused(self) -> bytes:
        return self._stream.unused_data


@dataclass(frozen=True, slots=True)
class _Coding:
    """How to open a stream for some bytes, what a further member begins with, how much to feed at once."""

    open: Callable[[bytes], _Stream]
    member: bytes | None = None
    piece: int = 16 * 1024


def _deflate(data: bytes) -> _Zlib:
    """The standard says zlib; some servers send raw deflate all the same."""
    zlib_header = len(data) > 1 and data[0] & 0x0F == zlib.DEFLATED and (data[0] << 8 | data[1]) % 31 == 0
    return _Zlib(zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)


_gzip = _Coding(lambda _: _Zlib(zlib.MAX_WBITS | 16), _GZIP)
_CODINGS = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Coding(_deflate),
    "br": _Coding(lambda _: _Brotli()),
    # A zstd stream has no way to ask for less. A block takes 4 bytes and makes at most 128 KiB.
    "zstd": _Coding(lambda _: _Zstd(), _ZSTD, piece=128),
}
_ERRORS = (zlib.error, brotli.error, zstandard.ZstdError)


def _undone(content: Content, name: str, limit: int) -> Content:
    data = content.data
    coding = _CODINGS.get(name)
    made, end = _unpacked(data, coding, limit) if coding else (b"", "damaged")
    if end == "whole":
        return Content(made, coded=True)
    if end == "full":
        return Content(made, coded=True, cut=True, problems=("too_large",))
    if is_plain(data):
        return content  # named, but stored decoded
    if end == "cut":
        return Content(made, coded=True, cut=True)
    return Content(made or data, coded=True, cut=bool(made), problems=("content_encoding",))


def _unpacked(data: bytes, coding: _Coding, limit: int) -> tuple[bytes, Literal["whole", "cut", "full", "damaged"]]:
    """What comes out of all members, and how it ended."""
    made = bytearray()
    position = 0
    trailer = len(data) - _TRAILER
    for _ in range(MAX_MEMBERS):
        try:
            stream = coding.open(data)
            while not stream.finished():
                if position >= len(data):
                    return bytes(made), "cut"
                end = position + coding.piece
                piece = data[position : min(end, trailer) if position < trailer else end]
                made += stream.feed(piece, limit - len(made))
                position += len(piece)
                if len(made) > limit:
                    return bytes(made[:limit]), "full"
        except _ERRORS:
            return bytes(made), "damaged"
        position -= len(stream.unused())
        if coding.member is None or not data.startswith(coding.member, position):
            return bytes(made), "whole"
    return bytes(made), "damaged"
