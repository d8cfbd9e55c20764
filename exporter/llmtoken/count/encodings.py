"""OpenAI's token encodings, shipped inside the package so that nothing is downloaded.

Owns the ranks in `ranks/` (made by `build_ranks`), the way to an `Encoding` from them, and
the rule which model has which. Must not know prompts or replies.

`tiktoken` fetches its ranks from the internet at first use; we hand them to `Encoding`
ourselves. The split patterns are those of `tiktoken_ext.openai_public` (a test compares
them): its constructors can't be asked for them without a download. Special tokens are
left out because text that looks like one is counted as text.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from importlib.resources import files
from itertools import accumulate, count, pairwise
from typing import Literal

import zstandard
from tiktoken import Encoding
from tiktoken.model import encoding_name_for_model

EncodingName = Literal["o200k_base", "cl100k_base"]

PATTERNS: dict[EncodingName, str] = {
    "o200k_base": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
}
"""How text is split before it is merged, in the notation of Rust's fancy-regex."""

SHA256: dict[EncodingName, str] = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
"""The hashes of the official `.tiktoken` files, as `tiktoken_ext.openai_public` states them."""

LANES = 4
"""Encodings of a name at most; each takes memory."""

_loading = threading.Lock()
_loaded: dict[tuple[EncodingName, int], Encoding] = {}
_lanes = count()


class _Lane(threading.local):
    """Which encoding a thread has: the first thread the first one, and so on."""

    def __init__(self) -> None:
        self.number = next(_lanes) % LANES


_lane = _Lane()


def encoding_name(model: str | None) -> EncodingName:
    """Which of the shipped encodings a model uses, or comes nearest to.

    tiktoken's own table decides where it knows the name, with or without a vendor's prefix
    (`openai/gpt-4`, `ft:gpt-3.5-turbo:…`). Everything else gets the newest encoding: other
    vendors' tokenizers are nearer to it (DESIGN §10). GPT-3's encodings aren't shipped, and
    cl100k is the nearest to them.
    """
    known = _known(model)
    return "o200k_base" if known is None or known.startswith("o200k") else "cl100k_base"


def has_encoding(model: str | None) -> bool:
    """Whether a model's own encoding is known, and is one of those shipped."""
    return _known(model) in PATTERNS


@lru_cache(maxsize=1024)
def _known(model: str | None) -> str | None:
    try:
        return encoding_name_for_model(model.lower().rpartition("/")[2]) if model else None
    except KeyError:
        return None


def load(name: EncodingName, lane: int = 0) -> Encoding:
    """The encoding, built at its first use (a few tenths of a second); for any thread, but see `encoder`."""
    encoding = _loaded.get((name, lane))
    if encoding is None:
        with _loading:
            encoding = _loaded.get((name, lane)) or build(name)
            _loaded[name, lane] = encoding
    return encoding


@cache
def encoder(name: EncodingName) -> Callable[[str], list[int]]:
    """What turns text into tokens, each thread by an encoding of its own as long as there are `LANES`.

    Threads that share one are slowed down by each other: tiktoken's matcher has a pool whose owner and locks all of
    them ask at each word (docs/adr/counting.md).
    """
    return partial(_encode, name)


def _encode(name: EncodingName, text: str) -> list[int]:
    return load(name, _lane.number).encode_ordinary(text)


def build(name: EncodingName) -> Encoding:
    """A new one: 40 MB of its own."""
    return Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=_ranks(name), special_tokens={})


@cache
def _ranks(name: EncodingName) -> dict[bytes, int]:
    return {token: rank for rank, token in enumerate(tokens(name))}


def pack(ordered: list[bytes]) -> bytes:
    """Tokens in the order of their ranks, compressed: the count, all lengths, all bytes."""
    plain = len(ordered).to_bytes(4, "big") + bytes(map(len, ordered)) + b"".join(ordered)
    return zstandard.ZstdCompressor(level=22).compress(plain)


def unpack(packed: bytes) -> Iterator[bytes]:
    """What `pack` took."""
    plain = zstandard.ZstdDecompressor().decompress(packed)
    body = 4 + int.from_bytes(plain[:4], "big")
    for start, end in pairwise(accumulate(plain[4:body], initial=body)):
        yield plain[start:end]


def tokens(name: EncodingName) -> Iterator[bytes]:
    """The tokens of a shipped encoding in the order of their ranks, from 0."""
    return unpack(files(__package__).joinpath("ranks", f"{name}.zst").read_bytes())
