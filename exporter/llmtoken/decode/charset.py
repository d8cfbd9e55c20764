"""Bytes to text, whatever they are.

Owns which charsets are believed and what stands in for bytes that are none of it. Must not
know framing.
"""

from __future__ import annotations

import codecs
import functools
from typing import NamedTuple

from llmtoken.decode.values import BOM


class Text(NamedTuple):
    """Bytes as text, without surrogates."""

    text: str
    cut: bool = False
    """The last character isn't whole."""
    problems: tuple[str, ...] = ()


def text(data: bytes) -> Text:
    """UTF-8 as text. What isn't UTF-8 becomes U+FFFD and the problem `charset`."""
    try:
        return Text(data.decode())
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.end == len(data):
            return text(data[: error.start])._replace(cut=True)
        return Text(data.decode("utf-8", "replace"), problems=("charset",))


def to_utf8(data: bytes, charset: str) -> bytes:
    """The same text in UTF-8, if `charset` names another character set that we believe; else as it was."""
    name = _known(charset)
    if name is None:
        return data
    return data.decode(name, "replace").removeprefix(BOM.decode()).encode("utf-8", "replace")


_BELIEVED = frozenset(
    {"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "shift_jis", "euc_jp", "euc_kr"}
    | {"gbk", "gb2312", "gb18030", "big5", "cp932", "cp949", "koi8-r", "koi8-u"}
    | {f"cp125{n}" for n in range(9)}
    | {f"iso8859-{n}" for n in range(1, 17)}
)
"""Python has codecs that aren't character sets, or take quadratic time; these are neither."""


@functools.lru_cache(maxsize=64)
def _known(charset: str) -> str | None:
    if not charset:
        return None
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return name if name in _BELIEVED else None
