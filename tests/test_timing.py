"""First chunk and chunk times from the plugin's timeline."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

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
    assert measure(exchange(), [200]) == Timing(
        duration=2.5, time_to_first_byte=0.5, time_to_first_chunk=1.0, time_per_output_chunk=None
    )


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
)
def test_no_timeline_gives_a_negative_time(
    timeline: tuple[tuple[int, float], ...], ends: list[int | None], first: float | None
) -> None:
    timing = measure(exchange(timeline=timeline, time_to_first_byte=first), ends)
    assert all(time is None or time >= 0 for time in (timing.time_to_first_chunk, timing.time_per_output_chunk))
