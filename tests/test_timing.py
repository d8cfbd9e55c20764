"""First chunk and chunk times from the plugin's timeline."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from llmtoken.exchange import Exchange
from llmtoken.inference import Timing
from llmtoken.timing import measure

TIMELINE = ((100, 0.5), (200, 1.0), (300, 1.5), (310, 2.0))


def exchange(**fields: Any) -> Exchange:
    return Exchange(**{"duration": 2.5, "time_to_first_byte": 0.5, "timeline": TIMELINE, **fields})


def test_the_first_chunk_is_the_first_that_carried_output_not_the_first_byte() -> None:
    assert measure(exchange(), [200, 300]).time_to_first_chunk == 1.0


def test_time_per_chunk_is_the_mean_over_the_gaps_between_output() -> None:
    assert measure(exchange(), [100, 200, 300]).time_per_output_chunk == 0.5


def test_what_follows_the_last_output_does_not_count() -> None:
    assert measure(exchange(), [100, 200]).time_per_output_chunk == 0.5


def test_an_event_left_with_the_write_that_completed_it() -> None:
    assert measure(exchange(), [101, 300]).time_to_first_chunk == 1.0
    assert measure(exchange(), [99, 300]).time_to_first_chunk == 0.5


def test_several_events_in_one_write_left_at_once() -> None:
    assert measure(exchange(), [10, 20, 30]).time_per_output_chunk == 0.0


def test_a_single_chunk_has_no_time_per_chunk() -> None:
    timing = measure(exchange(), [200])
    assert (timing.time_to_first_chunk, timing.time_per_output_chunk, timing.longest_stall) == (1.0, None, None)


def test_the_answer_begins_behind_the_events_that_only_reasoned() -> None:
    timing = measure(exchange(), [100, 200, 300], reasoned=2)
    assert (timing.time_to_first_chunk, timing.time_to_first_answer_chunk) == (0.5, 1.5)


def test_where_nothing_reasoned_the_first_chunk_is_the_answers() -> None:
    assert measure(exchange(), [200]).time_to_first_answer_chunk == 1.0


def test_reasoning_alone_is_no_answer() -> None:
    assert measure(exchange(), [100, 200], reasoned=2).time_to_first_answer_chunk is None


def test_where_reasoning_ends_in_a_compressed_stream_is_unknown() -> None:
    assert measure(exchange(), [None, None], reasoned=1).time_to_first_answer_chunk is None
    assert measure(exchange(), [None, None]).time_to_first_answer_chunk == 0.5


def test_the_longest_stall_is_between_two_writes_that_carried_output() -> None:
    timeline = ((100, 0.5), (200, 1.0), (300, 4.0), (310, 9.0))
    assert measure(exchange(timeline=timeline), [100, 200, 300]).longest_stall == 3.0


def test_a_write_without_output_does_not_end_a_stall() -> None:
    assert measure(exchange(), [100, 300]).longest_stall == 1.0


def test_events_that_left_in_one_write_did_not_stall() -> None:
    assert measure(exchange(), [10, 20, 30]).longest_stall == 0.0


def test_in_a_compressed_stream_every_write_is_taken_for_output() -> None:
    assert measure(exchange(timeline=((9, 0.5), (10, 3.0))), [None, None]).longest_stall == 2.5


def test_a_single_chunk_or_no_timeline_knows_no_stall() -> None:
    assert measure(exchange(), [100]).longest_stall is None
    assert measure(exchange(timeline=()), [100, 200]).longest_stall is None
    assert measure(exchange(), [300, 999]).longest_stall is None


def test_a_reply_without_output_events_has_no_chunk_times() -> None:
    assert measure(exchange(), []) == Timing(duration=2.5, time_to_first_byte=0.5)


def test_unknown_ends_fall_back_to_the_first_byte_and_the_last_write() -> None:
    timing = measure(exchange(), [None, None, None, None])
    assert (timing.time_to_first_chunk, timing.time_per_output_chunk) == (0.5, 0.5)


def test_without_a_timeline_the_end_of_the_exchange_stands_in() -> None:
    timing = measure(exchange(timeline=()), [10, 20, 30])
    assert (timing.time_to_first_chunk, timing.time_per_output_chunk) == (0.5, 1.0)


def test_an_end_behind_the_timeline_falls_back() -> None:
    assert measure(exchange(), [200, 999]).time_per_output_chunk == 1.0


def test_without_any_clock_nothing_is_known() -> None:
    assert measure(Exchange(), [10, 20]) == Timing()
    assert measure(exchange(timeline=(), time_to_first_byte=None), [10, 20]) == Timing(duration=2.5)


def test_times_that_run_backwards_give_none() -> None:
    assert measure(exchange(timeline=((100, 2.0), (200, 1.0))), [100, 200]).time_per_output_chunk is None


@given(
    timeline=st.lists(st.tuples(st.integers(0, 50), st.floats(0, 100)), max_size=6).map(tuple),
    ends=st.lists(st.none() | st.integers(0, 60), max_size=6),
    first=st.none() | st.floats(0, 100),
    reasoned=st.integers(0, 6),
)
def test_no_timeline_gives_a_negative_time(
    timeline: tuple[tuple[int, float], ...], ends: list[int | None], first: float | None, reasoned: int
) -> None:
    timing = measure(exchange(timeline=timeline, time_to_first_byte=first), ends, reasoned=reasoned)
    assert all(time is None or time >= 0 for time in astuple(timing))
