"""Content codings: named, unnamed, stacked, damaged, cut, and bombs."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.decode import content

LIMIT = 1024 * 1024
TEXT = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello, hello, hello"}]}'


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def zstd_stream(data: bytes) -> bytes:
    """Without the content's size in its header, as servers that stream send it."""
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(data) + stream.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "zstd stream": ("zstd", zstd_stream),
}
coded = pytest.mark.parametrize(("name", "pack"), CODINGS.values(), ids=CODINGS)


def decoded(data: bytes, codings: str = "", limit: int = LIMIT) -> content.Content:
    return content.decoded(data, codings, limit=limit)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - only has to be incompressible


@coded
@given(data=st.binary(max_size=2000))
@settings(deadline=None, max_examples=30)
def test_a_coding_is_undone(name: str, pack: Callable[[bytes], bytes], data: bytes) -> None:
    assert decoded(pack(data), name) == (data, True, False, ())


@coded
def test_content_larger_than_what_is_fed_at_once_is_whole(name: str, pack: Callable[[bytes], bytes]) -> None:
    data = noise(200_000)
    assert decoded(pack(data), name) == (data, True, False, ())


@coded
def test_what_arrived_of_a_cut_stream_is_kept(name: str, pack: Callable[[bytes], bytes]) -> None:
    data = noise(200_000)
    packed = pack(data)
    half = decoded(packed[: len(packed) // 2], name)
    assert data.startswith(half.data)
    assert len(half.data) > 30_000
    assert half.cut
    assert not half.problems


@coded
def test_a_bomb_stops_at_the_limit(name: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(16 * LIMIT))
    tracemalloc.start()
    try:
        unpacked = decoded(bomb, name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert unpacked == (bytes(LIMIT), True, True, ("too_large",))
    assert peak < 12 * LIMIT  # zstd cannot stop in the middle of a piece


def test_a_body_of_exactly_the_limit_is_whole() -> None:
    assert decoded(gzip.compress(bytes(1000)), "gzip", limit=1000) == (bytes(1000), True, False, ())


def test_a_plain_body_is_cut_at_the_limit() -> None:
    assert decoded(bytes(1001), limit=1000) == (bytes(1000), False, True, ("too_large",))


def test_stacked_codings_are_undone_last_first() -> None:
    assert decoded(brotli.compress(gzip.compress(TEXT)), "gzip, br").data == TEXT


def test_a_tower_of_codings_is_left_alone() -> None:
    data = TEXT
    for _ in range(5):
        data = gzip.compress(data)
    tower = decoded(data, "gzip, gzip, gzip, gzip, gzip")
    assert tower == (data, True, False, ("content_encoding",))


def test_gzip_members_follow_one_another() -> None:
    assert decoded(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip").data == b"one two"


def test_zstd_frames_follow_one_another() -> None:
    pack = zstandard.ZstdCompressor().compress
    assert decoded(pack(b"one ") + pack(b"two"), "zstd").data == b"one two"


def test_padding_behind_gzip_is_passed_over() -> None:
    assert decoded(gzip.compress(TEXT) + bytes(512), "gzip") == (TEXT, True, False, ())


def test_a_flood_of_empty_members_is_stopped() -> None:
    flood = decoded(gzip.compress(b"") * (content.MAX_MEMBERS + 1), "gzip")
    assert flood.problems == ("content_encoding",)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, br", "compress", "dcb"])
def test_a_body_stored_decoded_is_taken_as_it_is(coding: str) -> None:
    unpacked = decoded(TEXT, coding)
    assert unpacked.data == TEXT
    assert unpacked.coded, "the wire had other offsets"
    assert not unpacked.problems


@pytest.mark.parametrize("coding", ["", "identity", "aws-chunked", " Identity , "])
def test_no_coding_leaves_the_offsets_meaningful(coding: str) -> None:
    assert decoded(TEXT, coding) == (TEXT, False, False, ())


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_coding_that_no_header_names_is_seen_by_its_magic(pack: Callable[[bytes], bytes]) -> None:
    assert decoded(pack(TEXT)) == (TEXT, True, False, ())


def test_a_wrong_checksum_does_not_cost_the_content() -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-6] ^= 0xFF
    damaged = decoded(bytes(packed), "gzip")
    assert damaged == (TEXT, True, True, ("content_encoding",))


def test_damage_keeps_what_came_before_it() -> None:
    data = noise(200_000)
    packed = bytearray(gzip.compress(data))
    packed[100_000:100_100] = bytes(100)
    damaged = decoded(bytes(packed), "gzip")
    assert damaged.problems == ("content_encoding",)
    assert data.startswith(damaged.data[:50_000])


@pytest.mark.parametrize("coding", ["compress", "dcz", "exi"])
def test_an_unknown_coding_leaves_the_bytes(coding: str) -> None:
    assert decoded(noise(100), coding) == (noise(100), True, False, ("content_encoding",))


def test_a_zstd_dictionary_that_we_lack_is_a_problem() -> None:
    dictionary = zstandard.train_dictionary(1000, [noise(50) + str(n).encode() * 9 for n in range(200)])
    packed = zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT * 10)
    assert decoded(packed, "zstd") == (packed, True, False, ("content_encoding",))


def test_a_zstd_frame_that_asks_for_much_memory_is_refused() -> None:
    greedy = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    stream = zstandard.ZstdCompressor(compression_params=greedy).compressobj()
    packed = stream.compress(noise(1000)) + stream.flush()
    assert decoded(packed, "zstd").problems == ("content_encoding",)


@given(data=st.binary(max_size=300), codings=st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "x"])))
@settings(deadline=None)
def test_no_bytes_raise_or_pass_the_limit(data: bytes, codings: list[str]) -> None:
    assert len(decoded(data, ", ".join(codings), limit=100).data) <= 100
