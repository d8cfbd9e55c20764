"""Any text is counted, in bounded time, whatever the encoder does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtoken.count import encodings, tokenizer
from llmtoken.count.tokenizer import Tokenizer


class Panic(BaseException):
    """Stands for pyo3's PanicException, which can't be imported and isn't an Exception."""


@pytest.fixture(scope="module")
def o200k() -> Tokenizer:
    return Tokenizer(encodings.load("o200k_base").encode_ordinary)


def test_each_text_is_counted_for_itself(o200k: Tokenizer) -> None:
    assert o200k.count(["hello", " world", ""]) == 2


def test_special_tokens_in_a_text_are_text(o200k: Tokenizer) -> None:
    assert o200k.count(["<|endoftext|>"]) > 1


def test_a_lone_surrogate_is_counted(o200k: Tokenizer) -> None:
    assert o200k.count(["\ud800"]) > 0


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, " " * 1_000_000, "\n" * 1_000_000, "\t \n" * 300_000, "\u3000" * 300_000, "\ud800" * 100_000],
    ids=["letters", "spaces", "newlines", "whitespace", "wide spaces", "surrogates"],
)
def test_long_runs_neither_panic_nor_hang(o200k: Tokenizer, text: str) -> None:
    assert 0 < o200k.count([text]) <= len(text)


def test_the_encoder_never_sees_more_than_a_piece() -> None:
    seen: list[int] = []
    Tokenizer(lambda text: seen.append(len(text)) or text).count(["x" * 100_000, "word " * 20_000])
    assert max(seen) <= tokenizer.PIECE


def test_cutting_prose_at_spaces_changes_nothing(o200k: Tokenizer) -> None:
    prose = "Where there is a space, a cut before it costs nothing at all. " * 2000
    assert o200k.count([prose]) == len(encodings.load("o200k_base").encode_ordinary(prose))


@given(st.text(alphabet=" \nab", max_size=300), st.integers(1, 50))
def test_the_pieces_are_the_text(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "PIECE", size)
        pieces = list(tokenizer.split(text))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= size for piece in pieces)


def test_a_panic_is_met_by_halving() -> None:
    def panicking(text: str) -> Sequence[str]:
        if len(text) > 1000:
            raise Panic("stack overflow")
        return text

    assert Tokenizer(panicking).count(["x" * 50_000]) == 50_000


def test_a_panic_at_every_character_is_an_ordinary_error() -> None:
    def panicking(_: str) -> Sequence[str]:
        raise Panic("whatever it is")

    with pytest.raises(RuntimeError, match="can't take 'x'"):
        Tokenizer(panicking).count(["x" * 10])


def test_an_interrupt_is_no_panic() -> None:
    def interrupted(_: str) -> Sequence[str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Tokenizer(interrupted).count(["x" * 10])


def test_a_huge_text_is_sampled_and_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "PIECE", 100)
    monkeypatch.setattr(tokenizer, "EXACT", 1000)
    seen: list[str] = []
    texts = ["ab" * 5000, "c" * 7]
    assert Tokenizer(lambda text: seen.append(text) or text).count(texts) == 10_007
    assert sum(map(len, seen)) <= 1000


def test_a_sample_comes_near_the_truth(o200k: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"Entry {number} says {number * 7919} in words, 数字也是. " * 50 for number in range(200)]
    exact = o200k.count(texts)
    monkeypatch.setattr(tokenizer, "PIECE", 1000)
    monkeypatch.setattr(tokenizer, "EXACT", 50_000)
    assert o200k.count(texts) == pytest.approx(exact, rel=0.03)
