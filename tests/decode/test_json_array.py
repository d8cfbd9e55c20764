"""A JSON array, element by element."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.decode import json_array
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event

OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers()), min_size=1, max_size=5)


def test_every_element_is_an_event_that_ends_before_its_comma() -> None:
    assert json_array.read(b'[{"a": 1}\n,\r\n{"a": 2}\n]\n') == Frames(
        (Event({"a": 1}, None, 9), Event({"a": 2}, None, 21))
    )


def test_ends_are_bytes_not_characters() -> None:
    body = '[{"a": "世界"},\r\n{"b": "🙂"}]'.encode()
    assert [event.end for event in json_array.read(body).events] == [body.index(b","), len(body) - 1]


def test_a_byte_order_mark_is_passed_over_and_counted() -> None:
    assert json_array.read("\ufeff[{}]".encode()) == Frames((Event({}, None, 6),))


@pytest.mark.parametrize("rest", [b"", b",", b",\r\n", b', {"b": ', b", 12", b"\n"])
def test_of_a_cut_array_the_whole_elements_are_kept(rest: bytes) -> None:
    assert json_array.read(b'[{"a": 1}' + rest) == Frames((Event({"a": 1}, None, 9),), cut=True)


def test_a_damaged_separator_ends_the_reading_and_is_noted() -> None:
    assert json_array.read(b'[{"a": 1} {"a": 2}]') == Frames(
        (Event({"a": 1}, None, 9),), cut=True, problems=("stream_frame",)
    )


def test_ends_are_unknown_where_offsets_mean_nothing() -> None:
    assert json_array.read(b"[{}]", on_wire=False).events == (Event({}),)
    assert json_array.read(b'[{"a": "\xff"}]').events == (Event({"a": "\ufffd"}),)


def test_lone_surrogates_do_not_move_the_ends() -> None:
    assert json_array.read(rb'[{"a": "\ud800"},{}]').events == (Event({"a": "\ufffd"}, None, 16), Event({}, None, 19))


@given(values=OBJECTS, gap=st.sampled_from([",", ",\r\n", "\n,\r\n", " , "]), data=st.data())
@settings(deadline=None)
def test_an_array_cut_anywhere_gives_a_prefix_of_its_elements(
    values: list[dict[str, Any]], gap: str, data: st.DataObject
) -> None:
    whole = f"[{gap.join(json.dumps(value, ensure_ascii=False) for value in values)}]".encode("utf-8", "replace")
    elements = json_array.read(whole).events
    assert len(elements) == len(values)
    end = data.draw(st.integers(0, len(whole)))
    part = json_array.read(whole[:end])
    assert [event.data for event in part.events] == [event.data for event in elements[: len(part.events)]]
    assert part.cut == (end < len(whole))


@given(noise=st.text(alphabet='[]{},":1 e\\').map(str.encode) | st.binary())
@settings(deadline=None)
def test_no_bytes_raise(noise: bytes) -> None:
    json_array.read(b"[" + noise)


def test_a_flood_of_elements_is_stopped() -> None:
    flood = json_array.read(b"[" + b"{}," * (MAX_EVENTS + 1) + b"{}]")
    assert flood.cut
    assert flood.problems == ("too_large",)
    assert len(flood.events) == MAX_EVENTS
