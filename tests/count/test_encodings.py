"""The encodings are OpenAI's own, byte for byte, and need no network."""

from __future__ import annotations

import hashlib
import socket
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import tiktoken_ext.openai_public

from llmtoken.count import build_ranks, encodings
from llmtoken.count.encodings import EncodingName


def upstream(name: EncodingName) -> tuple[dict[str, Any], str]:
    """tiktoken's own definition of an encoding without its download, and the hash that it expects."""
    hashes: list[str] = []

    def load(_url: str, expected_hash: str) -> dict[bytes, int]:
        hashes.append(expected_hash)
        return {}

    constructor = getattr(tiktoken_ext.openai_public, name)
    replaced = {**vars(tiktoken_ext.openai_public), "load_tiktoken_bpe": load}
    definition = types.FunctionType(constructor.__code__, replaced)()
    return definition, hashes[0]


@pytest.mark.parametrize("name", encodings.SHA256)
def test_the_shipped_ranks_are_the_official_file(name: EncodingName) -> None:
    official = build_ranks.official_text(name)
    assert hashlib.sha256(official).hexdigest() == encodings.SHA256[name] == upstream(name)[1]


@pytest.mark.parametrize("name", encodings.SHA256)
def test_the_split_patterns_are_tiktokens(name: EncodingName) -> None:
    assert encodings.PATTERNS[name] == upstream(name)[0]["pat_str"]


def test_the_builder_makes_the_shipped_files_from_the_official_ones(tmp_path: Path) -> None:
    for name in encodings.SHA256:
        tmp_path.joinpath(f"{name}.tiktoken").write_bytes(build_ranks.official_text(name))
        assert build_ranks.read_official(name, tmp_path) == list(encodings.tokens(name))


def test_the_builder_refuses_a_file_that_is_not_the_official_one(tmp_path: Path) -> None:
    tmp_path.joinpath("o200k_base.tiktoken").write_bytes(b"IQ== 0\n")
    with pytest.raises(ValueError, match="has the hash"):
        build_ranks.read_official("o200k_base", tmp_path)


def test_packed_tokens_come_back_as_they_were() -> None:
    tokens = [b"a", b"", b"\x00\xff" * 64]
    assert list(encodings.unpack(encodings.pack(tokens))) == tokens


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("an encoding asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(encodings, "_loaded", {})
    encodings._ranks.cache_clear()
    assert encodings.load("cl100k_base").encode_ordinary("hello world") == [15339, 1917]
    assert encodings.load("o200k_base").encode_ordinary("hello world") == [24912, 2375]


def test_an_encoding_is_built_once_however_many_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "_loaded", {})
    with ThreadPoolExecutor(8) as threads:
        loaded = list(threads.map(lambda _: encodings.load("cl100k_base"), range(8)))
    assert all(one is loaded[0] for one in loaded)


def test_threads_have_encodings_of_their_own_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "_loaded", {})
    monkeypatch.setattr(encodings, "build", lambda name: SimpleNamespace(encode_ordinary=lambda text: (name, text)))
    encode = encodings.encoder("o200k_base")
    assert encodings.encoder("o200k_base") is encode  # what was counted by it is remembered for all threads
    for known in (1, 2, 3, 4, 4):
        thread = Thread(target=encode, args=["hello"])
        thread.start()
        thread.join()
        assert len(encodings._loaded) == known


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-5.2", "o200k_base"),
        ("gpt-oss-120b", "o200k_base"),
        ("openai/gpt-4o", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("openai/gpt-4", "cl100k_base"),
        ("GPT-35-Turbo-16k", "cl100k_base"),
        ("ft:gpt-3.5-turbo-0125:acme::abc", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("text-davinci-003", "cl100k_base"),
        ("claude-sonnet-4-5", "o200k_base"),
        ("our-own-deployment", "o200k_base"),
        (None, "o200k_base"),
    ],
)
def test_a_models_name_decides_its_encoding(model: str | None, name: str) -> None:
    assert encodings.encoding_name(model) == name
