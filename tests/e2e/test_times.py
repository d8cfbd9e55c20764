"""The times in a row against the clocks of the client and of the upstream.

All are clocks of this process, so what must have happened before what is certain, however
slow the machine is: the request is sent before the proxy starts its clock, and the proxy does before
the upstream is asked; a piece is sent by the upstream, then written and stamped by the proxy, before
the proxy goes on to the next, which the client gets still later.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import httpx
import pytest

from e2e import sdk, upstream
from e2e.sdk import KINDS, Kind
from e2e.upstream import Reply
from e2e.world import World, eventually, new_mark

pytestmark = pytest.mark.alone  # each piece has to come before the next is sent

PAUSE = 0.06
"""Seconds before each piece of the paced stream."""


def chunk(**delta: str) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': choices})}\n\n".encode()


WORDS = [chunk(content=f"word{number} ") for number in range(4)]
PACED = [chunk(role="assistant"), *WORDS, b"data: [DONE]\n\n"]


@dataclass(frozen=True)
class Paced:
    """One paced stream: on the same clock, when each piece was sent and got; and the row about it."""

    asked: float
    arrived: float
    sent: list[float]
    got: list[float]
    ended: float
    row: sqlite3.Row


@pytest.fixture(scope="module")
def paced(world: World) -> Iterator[Paced]:
    """A role, four words and the end mark, each after a pause."""
    mark = new_mark()
    body = {"stream": True, "messages": [{"role": "user", "content": mark}]}
    with upstream.running() as server, world.route(server.url) as header:
        server.reply = Reply(PACED, pause=PAUSE)
        got: list[float] = []
        text = b""
        asked = time.monotonic()
        with httpx.stream("POST", f"{world.traefik.url}/v1/chat/completions", json=body, headers=header) as answer:
            for piece in answer.iter_raw():
                now = time.monotonic()
                text += piece
                got += [now] * (text.count(b"\n\n") - len(got))
        ended = time.monotonic()
        assert text == b"".join(PACED)
        yield Paced(asked, server.requests[0].arrived, server.sent, got, ended, world.audit.row(mark))


def test_the_pieces_come_one_by_one_and_not_all_at_the_end(paced: Paced) -> None:
    assert all(got < sent for got, sent in zip(paced.got, paced.sent[1:], strict=False))


def test_the_first_byte_left_after_the_upstream_sent_it_and_before_the_client_had_the_next(paced: Paced) -> None:
    assert paced.sent[0] - paced.arrived <= paced.row["time_to_first_byte"] <= paced.got[1] - paced.asked


def test_the_first_chunk_is_the_first_word_and_not_the_role(paced: Paced) -> None:
    assert paced.sent[1] - paced.arrived <= paced.row["time_to_first_chunk"] <= paced.got[2] - paced.asked


def test_the_mean_time_between_chunks_is_that_of_the_words(paced: Paced) -> None:
    between = paced.row["time_per_output_chunk"] * (len(WORDS) - 1)
    assert paced.sent[4] - paced.got[2] <= between <= paced.got[5] - paced.sent[1]


def test_the_duration_is_that_of_the_whole_reply(paced: Paced) -> None:
    assert paced.sent[5] - paced.arrived <= paced.row["duration"] <= paced.ended - paced.asked


def test_the_speed_is_output_tokens_over_the_duration(paced: Paced) -> None:
    row = paced.row
    assert row["tokens_per_second"] == pytest.approx(row["output_tokens"] / row["duration"])


def test_where_the_server_says_nothing_about_usage_the_row_says_that_it_is_an_estimate(paced: Paced) -> None:
    assert paced.row["usage_source"] == "estimated"
    assert paced.row["output_tokens"] >= len(WORDS)
    assert paced.row["input_tokens"] > 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.stream], ids=lambda kind: kind.name)
def test_the_times_of_a_real_stream_fit_into_what_the_client_saw(world: World, kind: Kind) -> None:
    mark = new_mark()
    seen = sdk.make(kind, world.traefik.url, mark)
    row = world.audit.row(mark)
    reported = time.monotonic()
    first, between = row["time_to_first_chunk"], row["time_per_output_chunk"]
    last = first + between * (len(seen.pieces) - 1)
    in_order = [0, row["time_to_first_byte"], first, last, row["duration"], reported - seen.sent]
    assert all(earlier <= later + 1e-9 for earlier, later in pairwise(in_order)), in_order
    assert first <= seen.pieces[1] - seen.sent
    assert last <= seen.ended - seen.sent


def test_a_reply_that_is_no_stream_has_no_times_of_chunks(world: World) -> None:
    mark = new_mark()
    seen = sdk.make(KINDS[0], world.traefik.url, mark)
    row = world.audit.row(mark)
    assert 0 < row["time_to_first_byte"] <= row["duration"] <= time.monotonic() - seen.sent
    assert (row["time_to_first_chunk"], row["time_per_output_chunk"]) == (None, None)


@pytest.mark.parametrize(
    ("metric", "column"),
    [
        ("gen_ai_client_operation_duration_seconds", "duration"),
        ("gen_ai_client_operation_time_to_first_chunk_seconds", "time_to_first_chunk"),
        ("gen_ai_client_operation_time_per_output_chunk_seconds", "time_per_output_chunk"),
        ("llmtoken_output_speed_per_second", "tokens_per_second"),
    ],
)
def test_prometheus_has_the_times_that_the_audit_has(world: World, paced: Paced, metric: str, column: str) -> None:
    assert paced.row[column] is not None
    world.settled()
    ((count, total),) = world.audit.query(f"SELECT count({column}), sum({column}) FROM calls")  # noqa: S608
    read = world.prometheus.total
    assert eventually(lambda: read(f"{metric}_count"), count) == count
    assert read(f"{metric}_sum") == pytest.approx(total)
