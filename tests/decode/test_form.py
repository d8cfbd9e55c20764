"""HTML forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.decode import form

AUDIO = bytes(range(256)) * 4
MULTIPART = (
    b"--xyz\r\n"
    b'Content-Disposition: form-data; name="model"\r\n\r\n'
    b"whisper-1\r\n"
    b"--xyz\r\n"
    b'content-disposition: form-data; name="file"; filename="a \\"b\\".wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n" + AUDIO + b"\r\n"
    b"--xyz\r\n"
    b"Content-Disposition: form-data; name=granularities[]\r\n\r\n"
    b"word\r\n"
    b"--xyz\r\n"
    b'Content-Disposition: form-data; name="granularities[]"\r\n\r\n'
    b"s\xc3\xa4tze\r\n"
    b"--xyz--\r\n"
)


def test_text_fields_are_kept_and_files_described() -> None:
    assert form.multipart(MULTIPART, "xyz") == (
        {
            "model": "whisper-1",
            "file": {"filename": 'a \\"b\\".wav', "content_type": "audio/wav", "bytes": len(AUDIO)},
            "granularities[]": ["word", "sätze"],
        },
        False,
    )


def test_bare_line_feeds_are_forgiven() -> None:
    assert form.multipart(b'--x\nContent-Disposition: form-data; name="a"\n\n1\n--x--\n', "x") == ({"a": "1"}, False)


def test_of_a_cut_form_a_cut_text_is_left_out_and_a_file_told() -> None:
    before_file_ends = MULTIPART[: MULTIPART.index(AUDIO) + 100]
    fields, cut = form.multipart(before_file_ends, "xyz")
    assert cut
    assert fields["model"] == "whisper-1"
    assert fields["file"]["bytes"] == 100
    assert form.multipart(MULTIPART[: MULTIPART.index(b"er-1")], "xyz") == ({}, True)


@pytest.mark.parametrize("part", [b"no headers", b"Content-Type: text/plain\r\n\r\nno name", b"\r\n\r\n", b""])
def test_a_part_without_a_name_is_passed_over(part: bytes) -> None:
    assert form.multipart(b"--x\r\n" + part + b"\r\n--x--", "x") == ({}, False)


def test_a_form_is_known_by_its_look() -> None:
    assert form.boundary_of(MULTIPART) == "xyz"
    assert form.boundary_of(b"--xyz\r\nhello") is None


def test_urlencoded_fields_are_kept() -> None:
    assert form.urlencoded(b"model=gpt-4o&a=1&a=2&empty=&text=gr%C3%BC%C3%9Fe+dich") == {
        "model": "gpt-4o",
        "a": ["1", "2"],
        "empty": "",
        "text": "grüße dich",
    }


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="fields"):
        form.urlencoded(b"&".join([b"a=1"] * (form.MAX_FIELDS + 1)))


def test_a_flood_of_parts_is_stopped() -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    fields, cut = form.multipart(part * (form.MAX_FIELDS + 100), "x")
    assert len(fields["a"]) == form.MAX_FIELDS
    assert cut


NAMES = st.text("abc[]", min_size=1)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))


@given(fields=st.dictionaries(NAMES, VALUES, min_size=1))
@settings(deadline=None)
def test_what_was_written_is_read(fields: dict[str, Any]) -> None:
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    assert form.multipart("".join(parts).encode() + b"--b--\r\n", "b") == (fields, False)


@given(noise=st.binary(), position=st.integers(0, len(MULTIPART)), boundary=st.text(max_size=5))
@settings(deadline=None)
def test_no_bytes_raise(noise: bytes, position: int, boundary: str) -> None:
    for body in (noise, MULTIPART[:position] + noise + MULTIPART[position:]):
        form.multipart(body, boundary)
        form.multipart(body, "xyz")
        form.urlencoded(body)
