"""What tells base64 of a text from ids, hashes and pictures never misses one."""

import base64
import json
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtoken.redact.base64_text import LEAST, TEXT, TOKEN

PRINTABLE = st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\t\n\r")


def has_text(text: str) -> bool:
    return re.search(TEXT, text) is not None


@given(st.text(PRINTABLE, min_size=LEAST * 3 // 4), st.booleans(), st.booleans(), st.sampled_from(["", '"', "64,"]))
def test_every_text_is_seen(said: str, urlsafe: bool, padded: bool, before: str) -> None:
    token = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(said.encode()).decode()
    assert has_text(before + (token if padded else token.rstrip("=")))


@pytest.mark.parametrize("end", ["\n", "\t", "\f", "\r\n", "见", "\x00"])
def test_a_text_is_seen_behind_an_escape_of_json(end: str) -> None:
    token = base64.b64encode(b"the password is swordfish, tell nobody").decode()
    assert has_text(json.dumps(end + token))
    assert has_text(json.dumps(json.dumps(end + token)))


def test_what_is_shorter_is_no_token() -> None:
    shorter = base64.b64encode(b"only twenty-nine bytes of text").decode()[: LEAST - 1]
    assert not has_text(shorter)
    assert re.search(TOKEN, shorter) is None


@pytest.mark.parametrize(
    "written",
    [lambda data: f"chatcmpl-{data.hex()}", lambda data: data.hex(), lambda data: base64.b64encode(data).decode()],
    ids=["id", "hash", "picture"],
)
def test_what_is_random_seldom_looks_like_a_text(written: object) -> None:
    assert callable(written)
    chance = Random(7)  # noqa: S311 - nothing secret
    tokens = [written(chance.randbytes(48)) for _ in range(3000)]
    assert all(re.search(TOKEN, token) for token in tokens)
    assert sum(map(has_text, tokens)) < len(tokens) / 200
