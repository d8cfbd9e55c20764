"""When the reply's output left the proxy: time to the first chunk, per chunk after it, and the longest stall.

Joins the plugin's timeline (bytes written, seconds) with where events end on the wire. Must
not know what events mean; `extract` says which of them carried output.

Source: gen_ai.client.operation.time_to_first_chunk and .time_per_output_chunk in
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from operator import sub
from typing import cast

from llmtoken.exchange import Exchange
from llmtoken.inference import Timing


def measure(exchange: Exchange, output_ends: Sequence[int | None], *, reasoned: int = 0) -> Timing:
    """The times of an exchange, in seconds since the request came in.

    `output_ends` has, in order, `Event.end` of every event that carried output: text,
    reasoning, audio or a piece of a tool call. It is empty for a reply that isn't a stream,
    and then only the duration and the time to the first byte are known. `reasoned` is how many
    of them, from the first on, carried nothing but visible reasoning.

    - `time_to_first_chunk`: when the first of them had left the proxy.
    - `time_to_first_answer_chunk`: when the first behind the reasoning had.
    - `time_per_output_chunk`: the mean from each to the next, (last - first) / (n - 1); `None`
      for fewer than two.
    - `longest_stall`: the longest time from a write that completed one to the next such write.
      The plugin keeps 1,024 writes, evenly chosen, of a reply that had more; a stall is then
      too long by the few regular gaps that stand between two of them.

    Where an end is unknown (a compressed stream) or the timeline doesn't reach it, the first
    byte stands in for the first chunk, the last write for the last, and any write for one that
    completed a chunk: a compressed stream is flushed event by event, so that errs by at most what
    a provider sends before its first output and after its last. Where the reasoning ended in it
    isn't known. Without a timeline the end of the exchange stands in for the last write.
    """
    if not output_ends:
        return Timing(duration=exchange.duration, time_to_first_byte=exchange.time_to_first_byte)
    answer = last = stall = None
    first = _left_at(exchange, output_ends[0], exchange.time_to_first_byte)
    if not reasoned:
        answer = first
    elif reasoned < len(output_ends):
        answer = _left_at(exchange, output_ends[reasoned], None)
    if len(output_ends) > 1:
        final = exchange.timeline[-1][1] if exchange.timeline else exchange.duration
        last = _left_at(exchange, output_ends[-1], final)
        stall = _longest_stall(exchange.timeline, output_ends)
    return Timing(
        duration=exchange.duration,
        time_to_first_byte=exchange.time_to_first_byte,
        time_to_first_chunk=first,
        time_to_first_answer_chunk=answer,
        time_per_output_chunk=_mean_gap(first, last, len(output_ends)),
        longest_stall=stall,
    )


def _left_at(exchange: Exchange, end: int | None, fallback: float | None) -> float | None:
    """When the byte before `end` was written: the first write that reached it."""
    if end is None:
        return fallback
    index = bisect_left(exchange.timeline, end, key=lambda write: write[0])
    return exchange.timeline[index][1] if index < len(exchange.timeline) else fallback


def _mean_gap(first: float | None, last: float | None, chunks: int) -> float | None:
    # A clock that was set back, or a made-up timeline, must not give negative durations.
    if first is None or last is None or last < first:
        return None
    return (last - first) / (chunks - 1)


def _longest_stall(timeline: Sequence[tuple[int, float]], ends: Sequence[int | None]) -> float | None:
    """The longest time between two writes that each completed an output; `None` when fewer than two outputs left."""
    known = [written for written, _ in timeline] if None in ends else cast("Sequence[int]", ends)
    unsent = [*known, math.inf]
    sent, times = 0, []
    for written, at in timeline:
        if unsent[sent] <= written:
            sent += 1
            while unsent[sent] <= written:
                sent += 1
            times.append(at)
    return max(0.0, max(map(sub, times[1:], times), default=0.0)) if sent > 1 else None
