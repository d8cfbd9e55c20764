"""One JSON value out of bytes: fast when it is right, tolerant when it nearly is.

Owns what we forgive: a byte order mark, raw control characters in strings, invalid UTF-8 and
lone surrogates (both become U+FFFD), NaN, infinities and numbers out of range (`None`, for
unknown), a JSON text inside a JSON string. Must not know what a value means.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import pydantic_core

BOM = b"\xef\xbb\xbf"

fast = msgspec.json.Decoder().decode
"""Strict and quick; `NOT_STRICT` is what it raises. Safe to share between threads."""

NOT_STRICT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Trailing(ValueError):
    """Behind a `value` there is more, which isn't white space."""

    def __init__(self, value: Any) -> None:
        super().__init__("more than one value")
        self.value = value


def parse(data: bytes | bytearray) -> Any:
    """The value that `data` is. Raises `Trailing`, or `ValueError` when it isn't JSON or nested too deeply."""
    try:
        value = fast(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except NOT_STRICT:
        value = _tolerant(data)
    return unwrapped(value) if isinstance(value, str) else value


def unwrapped(text: str) -> Any:
    """The object or array that a JSON string holds as text (double encoding), else the string itself."""
    if text[:1] in ("{", "["):
        try:
            return fast(text)
        except NOT_STRICT:
            return text
    return text


def salvage(data: bytes) -> Any:
    """What arrived of an object or array that was cut.

    The last string may be cut; a cut number is left out rather than read wrong. Raises
    `ValueError` when `data` isn't the beginning of one.
    """
    text = _text(data)
    if text[:1] not in ("{", "["):
        raise ValueError("not an object or array")
    # The digits that arrived of a number don't tell the number.
    text = text.rstrip("0123456789+-.eE")
    return pydantic_core.from_json(text, allow_inf_nan=False, cache_strings="none", allow_partial="trailing-strings")


_NESTING = re.compile(r'"((?:[^"\\]|\\.)*+)"?(?:\s*+:\s*+([{\[]))?|([{\[])|[}\]]', re.DOTALL)


def left_open(text: str) -> set[str]:
    """The names of the members whose objects or arrays had begun, but not ended, when JSON was cut."""
    names: list[str] = []
    for token in _NESTING.finditer(text):
        if token[2]:
            names.append(token[1])
        elif token[3]:
            names.append("")
        elif token[1] is None and names:
            names.pop()
    return {name for name in names if name}


def prefix(text: str, start: int = 0) -> tuple[Any, int]:
    """The value that begins at `text[start]`, and the index behind it. Raises `ValueError`."""
    try:
        return _forgiving.raw_decode(text, start)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _tolerant(data: bytes | bytearray) -> Any:
    text = _text(data)
    value, end = prefix(text)
    if text[end:].strip():
        raise Trailing(value)
    return value


def _text(data: bytes | bytearray) -> str:
    return replace_lone_surrogates(data.removeprefix(BOM).decode("utf-8", "replace").strip())


_SURROGATE = re.compile(r"\\u[dD]")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


def replace_lone_surrogates(text: str) -> str:
    """JSON text whose escaped lone surrogates, which no database takes, are U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return _ESCAPE.sub(lambda match: r"\ufffd" if match[1] else match[0], text)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _integer(digits: str) -> int | None:
    try:
        return int(digits)
    except ValueError:  # Python refuses thousands of digits, which take quadratic time
        return None


_forgiving = json.JSONDecoder(strict=False, parse_float=_finite, parse_int=_integer, parse_constant=lambda _: None)
