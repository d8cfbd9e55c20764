"""What base64 looks like when it holds text, told from its characters.

Ids, hashes and pictures look like base64, too, and nearly every call has one. Of four characters the first three
each have the upper two bits of a byte, which are what UTF-8 has rules for: it is ASCII, leads a character or
continues it.
Must not know rules, nor what is in the text.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase, ascii_uppercase, digits

from llmtoken.redact.views import ONE_CHARACTER

CHARACTERS = "A-Za-z0-9+/_-"
"""Of base64, the usual one and the one for URLs."""

LEAST = 40
"""Characters of what is worth a look: 30 bytes."""

TOKEN = rf"[{CHARACTERS}]{{{LEAST},}}={{0,2}}"
"""A pattern of whatever may be base64."""

_VALUES = (*ascii_uppercase, *ascii_lowercase, *digits, r"+\-", "/_")
"""What stands for the numbers from 0 to 63."""

_FOLLOWS = {"ascii": ("ascii", "lead"), "lead": ("continuation",), "continuation": ("ascii", "lead", "continuation")}
"""What a byte of UTF-8 may be followed by."""

_UPPER_BITS = {"ascii": (0b00, 0b01), "lead": (0b11,), "continuation": (0b10,)}


def _class(fits: Callable[[int], bool]) -> str:
    return f"[{''.join(character for value, character in enumerate(_VALUES) if fits(value))}]"


def _first(kind: str) -> str:
    """A character with the upper six bits of a byte; those of control characters are none of a text."""
    return _class(lambda value: value >> 4 in _UPPER_BITS[kind] and value not in (0, 1, 4, 5, 6, 7))


def _second(kind: str) -> str:
    """A character with the upper four bits of the second byte at its end; 0001 is a control character."""
    return _class(lambda value: value >> 2 & 3 in _UPPER_BITS[kind] and value & 15 != 1)


def _third(kinds: tuple[str, ...]) -> str:
    """A character with the upper two bits of the third byte at its end."""
    return _class(lambda value: any(value & 3 in _UPPER_BITS[kind] for kind in kinds))


def _four(begin: tuple[str, ...]) -> str:
    """Four characters, of which the first byte is one of these."""
    found = (
        f"{_first(first)}{_second(second)}{_third(_FOLLOWS[second])}" for first in begin for second in _FOLLOWS[first]
    )
    return f"(?:{'|'.join(found)})[{CHARACTERS}]"


TEXT = (
    rf"(?:^|[^{CHARACTERS}]|{ONE_CHARACTER})"
    rf"{_four(_FOLLOWS['ascii'])}(?:{_four(tuple(_FOLLOWS))}){{{LEAST // 4 - 1}}}"
)
"""A pattern of whatever a `TOKEN` with text in it is in, escaped or not; of other tokens, one in thousands has it."""
