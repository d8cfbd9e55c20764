"""Bytes to text."""

from __future__ import annotations

import pytest

from llmtoken.decode import charset

TEXT = '{"content": "Grüße, 世界"}'


def test_utf8_is_text() -> None:
    assert charset.text(TEXT.encode()) == (TEXT, False, ())


def test_what_is_not_utf8_is_replaced_and_noted() -> None:
    assert charset.text(b"caf\xe9!") == ("caf\ufffd!", False, ("charset",))


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_character_cut_at_the_end_is_left_out(missing: int) -> None:
    assert charset.text("a🙂".encode()[:-missing]) == ("a", True, ())


def test_damage_before_a_cut_character_is_still_noted() -> None:
    assert charset.text(b"\xff" + "🙂".encode()[:2]).problems == ("charset",)


@pytest.mark.parametrize("name", ["UTF-16", "utf-16le", "gb18030", "utf_32"])
def test_another_character_set_is_believed(name: str) -> None:
    assert charset.to_utf8(TEXT.encode(name), name) == TEXT.encode()


def test_latin1_is_believed() -> None:
    assert charset.to_utf8("Grüße".encode("iso-8859-1"), "ISO-8859-1") == "Grüße".encode()


@pytest.mark.parametrize("name", ["", "utf-8", "UTF8", "zip", "rot13", "idna", "unicode_escape", "nonsense", "a\0b"])
def test_what_is_no_other_character_set_leaves_the_bytes(name: str) -> None:
    assert charset.to_utf8(TEXT.encode(), name) == TEXT.encode()
