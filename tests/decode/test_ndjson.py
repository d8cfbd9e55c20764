"""One JSON value a line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.decode import ndjson
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event


def test_every_line_is_an_event() -> None:
    assert ndjson.read(b'{"a": 1}\n{"a": 2}\n') == Frames((Event({"a": 1}, None, 9), Event({"a": 2}, None, 18)))


def test_a_last_line_without_its_end_counts_if_it_is_whole() -> None:
    assert ndjson.read(b'{"a": 1}\n{"a": 2}').events[-1] == Event({"a": 2}, None, 17)


@pytest.mark.parametrize("last", [b'{"a": ', b"12", b"tru"])
def test_a_last_line_that_is_cut_is_left_out_and_told(last: bytes) -> None:
    assert ndjson.read(b"{}\n" + last) == Frames((Event({}, None, 3),), cut=True)


@pytest.mark.parametrize("gap", [b"\n", b"\r\n", b"\n\n", b" \n\t\n", b"\n\x1e"])
def test_blank_lines_carriage_returns_and_record_separators_are_passed_over(gap: bytes) -> None:
    assert [event.data for event in ndjson.read(b'\x1e{"a": 1}' + gap + b'{"a": 2}').events] == [{"a": 1}, {"a": 2}]


def test_a_line_that_is_not_json_is_kept_as_text_and_noted() -> None:
    frames = ndjson.read(b'{"a": 1}\noops\n{"a": 2}\n')
    assert [event.data for event in frames.events] == [{"a": 1}, "oops", {"a": 2}]
    assert frames.problems == ("stream_json",)


def test_ends_are_unknown_when_offsets_are_not_the_wires() -> None:
    assert ndjson.read(b"{}\n{}", on_wire=False).events == (Event({}), Event({}))


@pytest.mark.parametrize("data", [b'{"a": 1}\n{"a": 2}', b'\n {"a": 1}\r\n{"a'])
def test_lines_are_known_by_their_look(data: bytes) -> None:
    assert ndjson.looks_like(data)


@pytest.mark.parametrize("data", [b'{"a": 1}\n', b'{\n"a": 1}\n', b"1\n2\n", b"", b'{"a": 1}'])
def test_one_value_is_not_taken_for_lines(data: bytes) -> None:
    assert not ndjson.looks_like(data)


@given(values=st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=4)), min_size=1), data=st.data())
@settings(deadline=None)
def test_a_stream_cut_anywhere_gives_a_prefix_of_its_events(values: list[dict[str, Any]], data: st.DataObject) -> None:
    whole = "".join(json.dumps(value) + "\n" for value in values).encode()
    part = ndjson.read(whole[: data.draw(st.integers(0, len(whole)))])
    assert [event.data for event in part.events] == values[: len(part.events)]
    assert ndjson.read(whole) == Frames(ndjson.read(whole).events)


@given(noise=st.text(alphabet='{}[]"\n\r :1e\x1e').map(str.encode) | st.binary())
@settings(deadline=None)
def test_no_bytes_raise(noise: bytes) -> None:
    assert all(event.end is not None and event.end <= len(noise) for event in ndjson.read(noise).events)


def test_a_flood_of_lines_is_stopped() -> None:
    flood = ndjson.read(b"1\n" * (2 * MAX_EVENTS))
    assert flood.cut
    assert flood.problems == ("too_large",)
    assert len(flood.events) == MAX_EVENTS
