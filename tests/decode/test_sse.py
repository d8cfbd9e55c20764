"""Server-sent events: the standard's parsing, and what real streams do to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.decode import sse
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event

PAYLOAD = st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.integers(), max_size=3)
NAME = st.none() | st.sampled_from(["message_start", "ping", "Ünïcode"])
EVENTS = st.lists(st.tuples(NAME, PAYLOAD), max_size=6)


def read(text: str) -> Frames:
    return sse.read(text.encode())


def data(text: str) -> list[Any]:
    return [event.data for event in read(text).events]


# ── The standard ────────────────────────────────────────────────────────────────────────


def test_an_event_has_its_name_its_data_and_where_it_ended() -> None:
    assert read('event: delta\ndata: {"a": 1}\n\ndata: [DONE]\n\n') == Frames(
        (Event({"a": 1}, "delta", 29), Event("[DONE]", None, 43))
    )


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_separates(line_end: str) -> None:
    stream = 'data: {"a": 1}\n\n: comment\n\nevent: x\ndata: {"a": 2}\n\ndata: plain\n\n'.replace("\n", line_end)
    assert [(event.data, event.name) for event in read(stream).events] == [
        ({"a": 1}, None),
        ({"a": 2}, "x"),
        ("plain", None),
    ]


def test_several_data_lines_are_one_payload() -> None:
    assert data('data: {"a":\ndata: 1}\n\ndata: one\ndata: two\n\n') == [{"a": 1}, "one\ntwo"]


def test_the_space_behind_the_colon_may_be_missing() -> None:
    assert data('data:{"a": 1}\n\n') == [{"a": 1}]


def test_only_one_space_is_taken_off() -> None:
    assert data("data:  two\n\n") == [" two"]


def test_data_may_be_empty() -> None:
    assert data("data\n\ndata:\n\n") == ["", ""]


@pytest.mark.parametrize("field", [": OPENROUTER PROCESSING", "id: 7", "retry: 3000", "unknown: field", "nonsense"])
def test_other_fields_are_passed_over(field: str) -> None:
    assert data(f'{field}\n\n{field}\ndata: {{"a": 1}}\n{field}\n\n') == [{"a": 1}]


def test_an_event_without_data_is_none() -> None:
    assert data("event: ping\n\ndata: {}\n\n") == [{}]


def test_a_name_counts_for_its_own_event_only() -> None:
    assert [event.name for event in read("event: a\n\ndata: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\n").events] == [
        None,
        "b",
        None,
    ]


def test_the_last_name_of_an_event_wins_wherever_it_stands() -> None:
    assert read("event: a\ndata: {}\nevent: b\n\n").events[0].name == "b"


def test_a_byte_order_mark_is_passed_over_and_counted() -> None:
    assert read("\ufeffdata: {}\n\n") == Frames((Event({}, None, 13),))


def test_ends_are_bytes_not_characters() -> None:
    stream = 'data: {"a": "世界"}\n\n'
    assert read(stream).events[0].end == len(stream.encode())


def test_ends_are_unknown_when_offsets_are_not_the_wires() -> None:
    assert sse.read(b"data: 1\n\ndata: {}", on_wire=False).events == (Event(1), Event({}))


# ── What real streams do ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\r"])
@pytest.mark.parametrize(("payload", "value"), [('{"a": 1}', {"a": 1}), ("[DONE]", "[DONE]"), ('"x"', "x")])
def test_a_last_event_that_is_whole_counts_without_its_blank_line(ending: str, payload: str, value: Any) -> None:
    stream = f"data: {payload}{ending}"
    assert read(stream) == Frames((Event(value, None, len(stream)),))


@pytest.mark.parametrize(
    "rest", ['data: {"a": ', "data: [DO", "data: 12", "data: hel", "event: message_st", "event: done\n", "da", "data:"]
)
def test_a_last_event_that_is_cut_is_left_out_and_told(rest: str) -> None:
    assert read("data: {}\n\n" + rest) == Frames((Event({}, None, 10),), cut=True)


@pytest.mark.parametrize("rest", ["\n", ": keep-al", "id: 7\n", ": done\n"])
def test_nothing_is_cut_when_only_a_comment_or_blank_line_is_left(rest: str) -> None:
    assert not read("data: {}\n\n" + rest).cut


def test_an_error_field_is_taken_as_data() -> None:
    assert read('error: {"code": 500}\n\n').events == (Event({"code": 500}, "error", 22),)


def test_a_line_of_bare_json_is_taken_as_data() -> None:
    assert data('data: {"a": 1}\n\n{"error": {"message": "overloaded"}}\n\n') == [
        {"a": 1},
        {"error": {"message": "overloaded"}},
    ]


def test_where_blank_lines_are_missing_every_line_of_json_is_an_event() -> None:
    assert data('data: {"a": 1}\ndata: {"a": 2}\ndata: [DONE]\n\n') == [{"a": 1}, {"a": 2}, "[DONE]"]
    assert data('data: {"a": 1}\r\ndata: {"a": 2}\r\n') == [{"a": 1}, {"a": 2}]


def test_where_blank_lines_are_missing_whole_lines_before_a_cut_one_count() -> None:
    frames = read('data: {"a": 1}\ndata: {"a": 2}\ndata: {"a":')
    assert ([event.data for event in frames.events], frames.cut) == ([{"a": 1}, {"a": 2}], True)


def test_json_lines_one_of_which_is_none_stay_one_payload() -> None:
    assert data('data: {"a": 1}\ndata: two\n\n') == ['{"a": 1}\ntwo']


def test_spaces_before_the_first_field_and_behind_the_end_are_none() -> None:
    assert data(' data: {"a": 1}\n\ndata: [DONE] \n\n') == [{"a": 1}, "[DONE]"]
    assert data('data: {"a": 1}\n\ndata: [DONE] ') == [{"a": 1}, "[DONE]"]


def test_a_payload_that_is_broken_json_is_kept_as_text_and_noted() -> None:
    assert read('data: {"a": \n\ndata: {"a": 2}\n\n') == Frames(
        (Event('{"a": ', None, 14), Event({"a": 2}, None, 30)), problems=("stream_json",)
    )


def test_a_payload_encoded_twice_is_unwrapped() -> None:
    assert data('data: "{\\"a\\": 1}"\n\n') == [{"a": 1}]


def test_a_payload_that_is_nearly_json_is_read() -> None:
    assert data('data: {"a": NaN}\n\ndata: {"b": "\\ud800"}\n\n') == [{"a": None}, {"b": "\ufffd"}]


@pytest.mark.parametrize(
    "beginning",
    [
        "data: 1\n\n",
        "data:{}",
        ": hi\n\ndata: 1",
        "event: a\ndata: 1",
        "\ufeff\r\nid: 1\r\ndata: 1",
        "retry: 1\n\ndata: 1",
        " data: 1\n\n",
    ],
)
def test_a_stream_is_known_by_its_look(beginning: str) -> None:
    assert sse.looks_like(beginning.encode())


@pytest.mark.parametrize("text", ["id: 7\nname: yaml", "database: x", "event: a", ": comment", "hello\ndata: 1", ""])
def test_other_text_is_not_taken_for_a_stream(text: str) -> None:
    assert not sse.looks_like(text.encode())


# ── Any stream, however it is written ───────────────────────────────────────────────────


def written(events: list[tuple[str | None, dict[str, Any]]], line_end: str, *, ascii_only: bool = True) -> bytes:
    lines = []
    for name, payload in events:
        lines += [f"event: {name}"] if name else []
        lines += [f"data: {json.dumps(payload, ensure_ascii=ascii_only)}", ""]
    return "".join(line + line_end for line in lines).encode("utf-8", "replace")


def told(frames: Frames) -> list[tuple[str | None, Any]]:
    return [(event.name, event.data) for event in frames.events]


@given(events=EVENTS, line_end=st.sampled_from(["\n", "\r\n", "\r"]))
@settings(deadline=None)
def test_every_line_end_gives_the_same_events(events: list[tuple[str | None, dict[str, Any]]], line_end: str) -> None:
    assert told(sse.read(written(events, line_end))) == told(sse.read(written(events, "\n")))
    assert len(sse.read(written(events, line_end)).events) == len(events)


@given(events=EVENTS, data=st.data())
@settings(deadline=None)
def test_mixed_line_ends_give_the_same_events(
    events: list[tuple[str | None, dict[str, Any]]], data: st.DataObject
) -> None:
    lines = written(events, "\n").split(b"\n")[:-1]
    ends = data.draw(st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=len(lines), max_size=len(lines)))
    mixed = b"".join(line + end for line, end in zip(lines, ends, strict=True))
    assert told(sse.read(mixed)) == told(sse.read(written(events, "\n")))


@given(events=EVENTS, line_end=st.sampled_from(["\n", "\r\n", "\r"]), data=st.data())
@settings(deadline=None)
def test_a_stream_cut_anywhere_gives_a_prefix_of_its_events(
    events: list[tuple[str | None, dict[str, Any]]], line_end: str, data: st.DataObject
) -> None:
    whole = written(events, line_end, ascii_only=False)
    end = data.draw(st.integers(0, len(whole)))
    part = sse.read(whole[:end])
    assert told(part) == told(sse.read(whole))[: len(part.events)]
    arrived = sum(event.end is not None and event.end <= end for event in sse.read(whole).events)
    assert len(part.events) >= arrived


@given(events=EVENTS, line_end=st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None)
def test_the_bytes_up_to_an_events_end_hold_just_the_events_up_to_it(
    events: list[tuple[str | None, dict[str, Any]]], line_end: str
) -> None:
    whole = written(events, line_end, ascii_only=False)
    for number, event in enumerate(sse.read(whole).events, 1):
        assert sse.read(whole[: event.end]) == Frames(sse.read(whole).events[:number])


@given(noise=st.text(alphabet='data:event[]{}"\\1 \r\n\ufeff:é').map(str.encode) | st.binary())
@settings(deadline=None)
def test_no_bytes_raise_and_ends_rise_within_the_body(noise: bytes) -> None:
    ends = [event.end for event in sse.read(noise).events]
    assert all(end is not None and 0 < end <= len(noise) for end in ends)
    assert ends == sorted(ends)  # type: ignore[type-var]


def test_a_payload_of_very_many_lines_is_read_in_linear_time() -> None:
    lines = 300_000  # copying what came before at every line would take minutes
    assert len(sse.read(b"data: x\n" * lines + b"\n").events[0].data) == 2 * lines - 1


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_between_data_lines_become_line_feeds(line_end: str) -> None:
    assert data("data: a\ndata:\ndata: b\ndata: c\n\n".replace("\n", line_end)) == ["a\n\nb\nc"]


def test_a_flood_of_events_is_stopped() -> None:
    flood = sse.read(b"data:1\n\n" * (3 * MAX_EVENTS))
    assert flood.cut
    assert flood.problems == ("too_large",)
    assert len(flood.events) == MAX_EVENTS
