"""What was counted lately isn't counted again, and no number changes by that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from llmtoken.count import remembered
from llmtoken.count.remembered import Remembered
from llmtoken.count.tokenizer import Tokenizer

LONG = "A system prompt comes with every conversation. " * 10


def test_a_text_is_encoded_once() -> None:
    seen: list[str] = []
    tokenizer = Tokenizer(lambda text: seen.append(text) or text, Remembered())
    assert [tokenizer.count([LONG, "short", LONG]) for _ in range(3)] == [2 * len(LONG) + 5] * 3
    assert seen == [LONG, "short"]


@given(st.lists(st.text(alphabet="ab\ud800", max_size=remembered.SHORT + 5), max_size=30))
def test_texts_that_differ_are_told_apart(texts: list[str]) -> None:
    tokenizer = Tokenizer(lambda text: text, Remembered(most=7))
    assert [tokenizer.count([text]) for text in texts] == [len(text) for text in texts]


def test_each_encoder_has_counts_of_its_own() -> None:
    known = Remembered()
    assert Tokenizer(lambda text: text, known).count([LONG]) == len(LONG)
    assert Tokenizer(lambda text: text.split(), known).count([LONG]) == len(LONG.split())


def test_the_one_not_seen_for_longest_is_forgotten() -> None:
    known = Remembered(most=2)
    seen: list[str] = []
    tokenizer = Tokenizer(lambda text: seen.append(text) or text, known)
    for text in ("a", "b", "a", "c", "a", "b"):
        tokenizer.count([text])
    assert seen == ["a", "b", "c", "b"]
    assert len(known) == 2


def test_of_longer_texts_only_a_digest_is_kept() -> None:
    known = Remembered()
    Tokenizer(lambda text: text, known).count([LONG])
    assert LONG[: remembered.SHORT] not in repr(known._counts)


def test_it_may_be_asked_from_any_thread() -> None:
    tokenizer = Tokenizer(lambda text: text, Remembered(most=10))
    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda number: tokenizer.count(["x" * (number % 40)]), range(4000)))
    assert counts == [number % 40 for number in range(4000)]
