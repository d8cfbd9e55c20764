"""Images cost what their provider's formula says."""

from __future__ import annotations

import base64
import struct

import pytest

from llmtoken.count import images
from llmtoken.count.families import family_of
from llmtoken.inference import Image


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\x00\x00\x00"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


def jpeg(width: int, height: int) -> bytes:
    preview = b"\xff\xe1" + struct.pack(">H", 5000) + bytes(4998)
    huffman = b"\xff\xc4" + struct.pack(">H", 4) + bytes(2)
    return b"\xff\xd8" + preview + huffman + b"\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(10)


def webp(kind: bytes, header: bytes) -> bytes:
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + header


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def cost(model: str, width: int, height: int, *, detail: str | None = None, provider: str = "openai") -> int:
    image = Image(source=f"data:image/png;base64,{encoded(png(width, height))}", detail=detail)
    return images.tokens(image, family_of("openai.chat", provider, model), model)


@pytest.mark.parametrize(
    "data",
    [
        png(300, 200),
        gif(300, 200),
        jpeg(300, 200),
        webp(b"VP8X", bytes(4) + (299).to_bytes(3, "little") + (199).to_bytes(3, "little")),
        webp(b"VP8L", b"\x2f" + (299 | 199 << 14).to_bytes(4, "little")),
        webp(b"VP8 ", bytes(6) + struct.pack("<HH", 300, 200)),
    ],
    ids=["png", "gif", "jpeg", "webp extended", "webp lossless", "webp lossy"],
)
def test_the_size_is_read_from_the_first_bytes(data: bytes) -> None:
    assert images.size(encoded(data)) == images.size(f"data:image/any;base64,{encoded(data)}") == (300, 200)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "https://example.org/cat.png",
        "data:image/png;base64,",
        "%%%",
        "\ud800",
        encoded(b"\x89PNG\r\n\x1a\nshort"),
        encoded(b"\xff\xd8\xff"),
        encoded(jpeg(3, 2)[:5000]),
        encoded(png(0, 7)),
        encoded(webp(b"ALPH", bytes(20))),
    ],
)
def test_what_is_no_image_has_no_size(source: str) -> None:
    assert images.size(source) is None


@pytest.mark.parametrize(
    ("width", "height", "detail", "tokens"),
    [(1024, 1024, "high", 765), (2048, 4096, "high", 1105), (4096, 8192, "low", 85), (60, 30, None, 255)],
)
def test_gpt_4o_counts_tiles(width: int, height: int, detail: str | None, tokens: int) -> None:
    assert cost("gpt-4o", width, height, detail=detail) == tokens


def test_models_differ_in_what_a_tile_costs() -> None:
    assert cost("gpt-4o-mini", 60, 30) == 2833 + 5667
    assert cost("o1", 60, 30) == 225
    assert cost("gpt-5", 60, 30) == 210


@pytest.mark.parametrize(("width", "height", "patches"), [(1024, 1024, 1024), (1800, 2400, 1452), (64, 33, 4)])
def test_small_models_count_patches(width: int, height: int, patches: int) -> None:
    assert cost("gpt-4.1-mini", width, height) == -(-patches * 162 // 100)


def test_claude_counts_pixels() -> None:
    assert cost("claude-sonnet-4-5", 1000, 1000, provider="anthropic") == 1334
    assert cost("claude-sonnet-4-5", 8000, 8000, provider="anthropic") == 1600


def test_gemini_counts_crops() -> None:
    assert cost("gemini-2.5-flash", 384, 384, provider="gcp.gemini") == 258
    assert cost("gemini-2.5-flash", 960, 540, provider="gcp.gemini") == 6 * 258


@pytest.mark.parametrize(
    ("model", "width", "height", "patches"),
    [
        ("qwen2.5-vl-7b", 280, 280, 100),
        ("qwen2.5-vl-7b", 60, 30, 3 * 2),  # stretched to four patches at least
        ("qwen2.5-vl-7b", 8000, 4000, 181 * 90),  # shrunk to 16,384 at most
        ("qwen3-vl-8b", 320, 320, 100),
    ],
)
def test_qwen_counts_patches_between_two_markers(model: str, width: int, height: int, patches: int) -> None:
    assert cost(model, width, height, provider="self_hosted") == patches + 2


def test_mistral_counts_patches_and_the_ends_of_their_rows() -> None:
    assert cost("pixtral-12b", 239, 178, provider="mistral_ai") == (9 + 1) * 7
    assert cost("mistral-small-latest", 15_400, 280, provider="mistral_ai") == (55 + 1) * 1


def test_an_image_that_is_only_linked_is_taken_as_a_middling_one() -> None:
    assert (
        images.tokens(Image(source="https://example.org/cat.png"), family_of("", "openai", "gpt-4o"), "gpt-4o") == 765
    )


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "qwen3-vl", "pixtral"]
)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 100_000), (2**31 - 1, 1), (2**31 - 1, 2**31 - 1)])
def test_absurd_sizes_cost_something_sane(model: str, width: int, height: int) -> None:
    assert 0 < cost(model, width, height) < 100_000
