"""What is indexed of a call's bodies is what a reader of the conversation reads."""

import json

import pytest

from llmtoken.audit import words as module
from llmtoken.audit.words import words


def chat(*contents: str) -> str:
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": content} for content in contents]})


def test_texts_are_found_wherever_they_stand_in_the_json() -> None:
    said = words(chat("How do refunds work?"), json.dumps({"choices": [{"message": {"content": "Like this."}}]}))
    assert said.split("\n") == ["gpt-4o", "user", "How do refunds work?", "Like this."]


def test_what_json_escapes_is_said_plainly() -> None:
    assert "größer\nals Überall" in words(json.dumps({"content": "größer\nals Überall"}), None)


def test_the_pieces_of_a_stream_are_put_together() -> None:
    pieces = ("The refu", "nd pol", "icy")
    chunks = [{"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    assert words(None, stream).split("\n") == ["chatcmpl-1", "The refund policy", "[DONE]"]


def test_choices_of_a_stream_are_kept_apart() -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]}] * 1
    chunks += [{"choices": [{"index": 0, "delta": {"content": "c"}}, {"index": 1, "delta": {"content": "d"}}]}]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    assert words(None, stream).split("\n") == ["ac", "bd"]


def test_what_is_no_json_is_indexed_as_it_is() -> None:
    assert words("plain words", "<html>502</html>") == "plain words\n<html>502</html>"


def test_an_image_is_no_words() -> None:
    assert words(chat("Look:", "data:image/png;base64," + "iVBORw0KGgo" * 100), None) == "gpt-4o\nuser\nLook:\nuser"


def test_long_text_without_blanks_is_kept_in_scripts_that_have_none() -> None:
    assert words(chat("退款政策" * 100), None).count("政") == 100


def test_no_bodies_have_no_words() -> None:
    assert words(None, None) == words("", "") == ""


def test_only_so_much_of_a_call_is_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    assert words("word " * 10, None) == "word word "
