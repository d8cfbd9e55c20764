"""A JSON value for people: texts whole, but what nobody reads (base64, long lists of numbers) named instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from llmtoken.count import images

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{256,}={0,2}")
"""Long enough that no word or identifier looks like it."""
_DATA = re.compile(r"data:([^;,]*)[^,]*,")
_SEALED = re.compile(r"(?:signature|encrypted_content|encryptedContent|redactedContent|obfuscation)$", re.IGNORECASE)
"""Fields that hold what only the provider can read, or padding."""
_LINKS = frozenset({"file_id", "fileId", "file_uri", "fileUri", "file_url", "video_url", "s3Location"})
_NUMBERS = 8
"""A list of more numbers than these is an embedding, or tokens."""
_DEEPEST = 100


def outlined(value: Any) -> str:
    """The value as JSON of several lines."""
    return json.dumps(_named(value, 0), ensure_ascii=False, indent=2)


def _sealed(name: str) -> bool:
    return _SEALED.search(name) is not None


def _named(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {
            name: "<sealed>" if _sealed(name) and isinstance(item, str) and item else _named(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list):
        if len(value) > _NUMBERS and all(type(item) in (int, float) for item in value):
            return f"<{len(value):,} numbers>"
        return [_named(item, depth + 1) for item in value]
    if isinstance(value, str) and (what := _not_text(value)):
        return f"<{what}>"
    return value


def picture(source: str) -> str:
    """An image by what it is: its address, or its kind, its width and height in pixels and its size."""
    if not (what := _not_text(source)):
        return source or "image, not in the request"
    pixels = images.size(source)
    return what if pixels is None else f"{pixels[0]:,} × {pixels[1]:,} pixels, {what}"  # noqa: RUF001 - reads well


def _not_text(value: str) -> str | None:
    """What a string is that isn't text; `None` for text."""
    if found := _DATA.match(value):
        return f"{found[1] or 'data'}, {_size(len(value.rstrip('=')) - found.end())}"
    return f"base64, {_size(len(value.rstrip('=')))}" if _BASE64.fullmatch(value) else None


def _size(characters: int) -> str:
    count = characters * 3 // 4
    return f"{count:,} bytes" if count < 10_000 else f"{count / 1000:,.0f} kB"  # noqa: PLR2004


def files(values: list[Any], known: frozenset[str]) -> tuple[str, ...]:
    """What stands in JSON values besides text: encoded bytes and links to files, by place, less what is `known`."""
    found: dict[str, list[str]] = {}
    links: dict[str, str] = {}
    for value in values:
        for place, item in _files(value, "", known, 0):
            if _not_text(item) or links.setdefault(item, place) == place:
                found.setdefault(place, []).append(item)
    return tuple(f"{place}: {_together(items)}" for place, items in found.items())


def _together(items: list[str]) -> str:
    """Pieces of one stream as one."""
    whole = "".join(items)
    if len(items) > 1 and _BASE64.fullmatch(whole):
        return f"{_not_text(whole)}, in {len(items):,} pieces"
    return ", ".join(dict.fromkeys(_not_text(item) or item for item in items))


def _files(value: Any, place: str, known: frozenset[str], depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _files(item, place, known, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            if _sealed(name):
                continue
            inner = f"{place}.{name}" if place else name
            if isinstance(item, str):
                if item and item not in known and (name in _LINKS or _not_text(item)):
                    yield inner, item
            else:
                yield from _files(item, inner, known, depth + 1)
