"""A text seen otherwise: unescaped, or put together from pieces; and the way back to where it stood.

Secrets are found in the view and taken out of the source, so a view remembers for each of its
pieces where that came from. Must not know rules.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Span = tuple[int, int]

_PERCENT = rb"%(0[9AaDd]|[2-9a-fA-F][0-9a-fA-F])"
_ESCAPE = re.compile(rb'\\+(?:u([0-9a-fA-F]{4})|([bfnrt/"]))?|' + _PERCENT)
_CODE = re.compile(rb"\\u([0-9a-fA-F]{4})|" + _PERCENT)
_PLAIN = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"/": b"/", b'"': b'"'}

ONE_CHARACTER = r"\\(?:[bfnrt]|u[0-9A-Fa-f]{4})"
"""A pattern of JSON's escapes that end with what looks like the beginning of a word, and isn't."""


@dataclass(frozen=True, slots=True)
class View:
    """`pieces` are (where it begins here, where in the source, its length there), in order."""

    text: bytes
    pieces: list[tuple[int, int, int]]

    def source(self, start: int, end: int) -> list[Span]:
        """Where that part of the view stands in the source; what changed its length is taken as a whole."""
        number = max(0, bisect_right(self.pieces, start, key=_begin) - 1)
        spans: list[Span] = []
        while number < len(self.pieces):
            begin, origin, length = self.pieces[number]
            if begin >= end:
                break
            number += 1
            behind = self.pieces[number][0] if number < len(self.pieces) else len(self.text)
            if behind <= start:
                continue
            first, last = origin, origin + length
            if behind - begin == length:
                first, last = origin + max(0, start - begin), origin + min(length, end - begin)
            if spans and spans[-1][1] == first:
                spans[-1] = spans[-1][0], last
            elif first < last:
                spans.append((first, last))
        return spans


def _begin(piece: tuple[int, int, int]) -> int:
    return piece[0]


def joined(text: bytes, spans: Iterable[Span]) -> View:
    """The spans of a text, one behind the other."""
    pieces, parts, length = [], [], 0
    for start, end in spans:
        pieces.append((length, start, end - start))
        parts.append(text[start:end])
        length += end - start
    return View(b"".join(parts), pieces)


def unescaped(text: bytes) -> bytes:
    r"""The text without JSON's escapes and percent signs, however often one stands in the other.

    `\\\"a\\u0040b\\n` is `"a@b` and a line's end, on whatever level of JSON in JSON that was.
    """
    if b"\\" in text:
        while b"\\\\" in text:
            text = text.replace(b"\\\\", b"\\")
        for name, plain in _PLAIN.items():
            text = text.replace(b"\\" + name, plain)
        if b"\\u" not in text and b"%" not in text:
            return text
    elif b"%" not in text:
        return text
    return _CODE.sub(_decoded, text)


def unescaped_view(text: bytes) -> View:
    """The same with the way back, at many times the cost."""
    parts, pieces, length, done = [], [], 0, 0

    def add(part: bytes, start: int, end: int) -> None:
        nonlocal length
        if part:
            pieces.append((length, start, end - start))
            parts.append(part)
            length += len(part)

    for match in _ESCAPE.finditer(text):
        add(text[done : match.start()], done, match.start())
        code, plain, percent = match.groups()
        if code or percent:
            add(_character(code, percent), *match.span())
        else:
            add(_PLAIN[plain] if plain else b"\\", *match.span())
        done = match.end()
    add(text[done:], done, len(text))
    return View(b"".join(parts), pieces)


def through(views: Iterable[View], start: int, end: int) -> Iterator[Span]:
    """Where a part of the first view stands behind all of them, each being the next one's text."""
    spans = [(start, end)]
    for view in views:
        spans = [found for span in spans for found in view.source(*span)]
    yield from spans


def _decoded(match: re.Match[bytes]) -> bytes:
    return _character(match[1], match[2])


def _character(code: bytes | None, percent: bytes | None) -> bytes:
    """JSON names a character, an address each of its bytes."""
    return chr(int(code, 16)).encode("utf-8", "replace") if code else bytes([int(percent or b"", 16)])
