"""What an image costs as input, by the formulas that the providers document.

Owns the formulas and reading an image's size from its first bytes. Must not know messages.

Sources: https://platform.openai.com/docs/guides/images-vision (tiles and patches; the factors
of the small GPT-5 models are those that are billed, which differ from that page),
https://docs.claude.com/en/docs/build-with-claude/vision (pixels / 750),
https://ai.google.dev/gemini-api/docs/tokens (258 a tile), the image processors of Qwen-VL
(`smart_resize` in Hugging Face's transformers) and of Mistral (`ImageEncoder` in mistral-common).
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterator
from math import ceil, sqrt

from llmtoken.count.families import Family
from llmtoken.inference import Image

UNSEEN = (1024, 1024)
"""The size in pixels taken for an image that isn't in the request, only linked or uploaded before."""

HEADER = 262_144
"""Characters of Base64 that are read to find the size: a JPEG may have a preview before it."""

_PATCHES = (("gpt-4.1-mini", 1.62), ("gpt-4.1-nano", 2.46), ("gpt-5-mini", 1.2), ("gpt-5-nano", 1.5), ("o4-mini", 1.72))
"""Tokens per patch of 32 by 32 pixels."""

_TILES = (("gpt-4o-mini", 2833, 5667), ("gpt-5", 70, 140), ("o1", 75, 150), ("o3", 75, 150), ("", 85, 170))
"""Tokens for an image and for each of its tiles of 512 by 512 pixels."""


def tokens(image: Image, family: Family, model: str | None) -> int:
    """The tokens of one image. Vendors that document nothing are taken to cut tiles as OpenAI does."""
    width, height = size(image.source) or UNSEEN
    if family.name.startswith("claude"):
        return _by_pixels(width, height)
    if family.name == "gemini":
        return _by_crops(width, height)
    name = (model or "").lower()
    if family.name == "qwen":
        return _by_qwens_patches(width, height, 32 if "qwen3" in name else 28)
    if family.name == "mistral":
        return _by_rows_of_patches(width, height)
    factor = next((factor for part, factor in _PATCHES if part in name), None)
    if factor is not None:
        return ceil(_patches(width, height) * factor)
    base, tile = next((base, tile) for part, base, tile in _TILES if part in name)
    return base if image.detail == "low" else base + tile * _tiles(width, height)


def _patches(width: int, height: int, most: int = 1536) -> int:
    """Patches of 32 pixels, the image shrunk until they are at most `most`."""
    if ceil(width / 32) * ceil(height / 32) <= most:
        return ceil(width / 32) * ceil(height / 32)
    shrink = sqrt(most * 32 * 32 / (width * height))
    across, down = width * shrink / 32, height * shrink / 32
    shrink *= min(int(across) / across, int(down) / down) if across >= 1 and down >= 1 else 1
    return min(most, ceil(width * shrink / 32) * ceil(height * shrink / 32))


def _tiles(width: int, height: int) -> int:
    """Tiles of 512 pixels, after the image was made to fit 2048 and its shorter side 768."""
    fit = min(1, 2048 / max(width, height))
    fit *= min(1, 768 / (min(width, height) * fit))
    return ceil(width * fit / 512) * ceil(height * fit / 512)


def _by_pixels(width: int, height: int) -> int:
    fit = min(1, 1568 / max(width, height))
    return min(1600, ceil(width * fit * height * fit / 750))


def _by_qwens_patches(width: int, height: int, patch: int, fewest: int = 4, most: int = 16384) -> int:
    """Square patches to which the image is stretched, between its two markers."""
    across, down = max(1, round(width / patch)), max(1, round(height / patch))
    scale = sqrt(width * height) / patch
    if across * down > most:
        across, down = (max(1, int(side / patch * sqrt(most) / scale)) for side in (width, height))
    elif across * down < fewest:
        across, down = (ceil(side / patch * sqrt(fewest) / scale) for side in (width, height))
    return min(most, across * down) + 2


def _by_rows_of_patches(width: int, height: int) -> int:
    """Patches of 28 pixels of an image made to fit 1540, and a token at the end of each row."""
    fit = min(1, 1540 / max(width, height))
    return (ceil(width * fit / 28) + 1) * ceil(height * fit / 28)


def _by_crops(width: int, height: int) -> int:
    """Crops of the shorter side / 1.5, within 256 and 768 pixels, of an image made to fit 3072."""
    if max(width, height) <= 384:  # noqa: PLR2004 - the documented limit of a small image
        return 258
    fit = min(1, 3072 / max(width, height))
    crop = min(768, max(256, min(width, height) * fit / 1.5))
    return 258 * ceil(width * fit / crop) * ceil(height * fit / crop)


# ── The size of an image ───────────────────────────────────────────────────────────────


def size(source: str) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, JPEG, GIF or WebP; `None` when it can't be told."""
    if source.startswith("data:"):
        _, _, source = source.partition(",")
    try:
        data = base64.b64decode(source[:HEADER])
        found = _png(data) or _gif(data) or _webp(data) or _jpeg(data)
    except (binascii.Error, ValueError, struct.error, IndexError):
        return None
    return found if found and min(found) > 0 else None


def _png(data: bytes) -> tuple[int, int] | None:
    return struct.unpack(">II", data[16:24]) if data.startswith(b"\x89PNG\r\n\x1a\n") else None


def _gif(data: bytes) -> tuple[int, int] | None:
    return struct.unpack("<HH", data[6:10]) if data.startswith((b"GIF87a", b"GIF89a")) else None


def _webp(data: bytes) -> tuple[int, int] | None:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    match data[12:16]:
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = struct.unpack("<HH", data[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    for marker, start in _segments(data):
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", data[start + 3 : start + 7])
            return width, height
    return None


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of a JPEG's frame headers, which hold its size."""

_MARKER = re.compile(rb"\xff+([^\xff\x00])")


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Each segment's marker and where its length stands."""
    position = 2 if data.startswith(b"\xff\xd8") else len(data)
    while marker := _MARKER.match(data, position):
        yield marker[1][0], marker.end()
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
