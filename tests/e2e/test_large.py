"""Bodies beyond what is captured, and bodies made to hurt: they pass, and the row says what of them it has."""

from __future__ import annotations

import json
import zlib

import httpx
import pytest

from e2e.upstream import Reply
from e2e.world import Stage, World, new_mark

MIB = 1024 * 1024
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def event(**fields: object) -> bytes:
    return f"data: {json.dumps({'object': 'chat.completion.chunk', **fields})}\n\n".encode()


def said(text: str) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])


def test_a_request_beyond_the_limit_passes_whole_and_its_row_says_that_it_is_cut(world: World, stage: Stage) -> None:
    mark = new_mark()
    stage.upstream.reply = Reply([json.dumps({"choices": [], "usage": USAGE}).encode()], "application/json")
    body = json.dumps({"user": mark, "model": "m", "messages": [{"role": "user", "content": "ä" * MIB}]}).encode()
    httpx.post(f"{world.traefik.url}/v1/chat/completions", content=body, headers=stage.header)
    assert stage.upstream.requests[-1].body == body
    row = world.audit.row(mark)
    assert (row["request_bytes"], row["request_truncated"]) == (len(body), 1)
    assert body.decode().startswith(row["request_body"])
    assert len(row["request_body"]) >= MIB
    assert (row["input_tokens"], row["output_tokens"], row["usage_source"]) == (7, 3, "reported")


def test_a_stream_beyond_the_limit_passes_whole_and_is_counted_in_part(world: World, stage: Stage) -> None:
    mark = new_mark()
    stage.upstream.reply = Reply([said("word " * 20_000)] * 100)
    body = {"model": "wordy", "stream": True, "messages": [{"role": "user", "content": mark}]}
    reply = httpx.post(f"{world.traefik.url}/v1/chat/completions", json=body, headers=stage.header, timeout=60)
    assert len(reply.content) > 9 * MIB
    row = world.audit.row(mark)
    assert (row["response_bytes"], row["response_truncated"]) == (len(reply.content), 1)
    assert row["usage_source"] == "partial"
    assert 1_500_000 < row["output_tokens"] < 2_000_000


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_a_reply_that_unpacks_to_a_flood_takes_nothing_with_it(world: World, stage: Stage, kind: str) -> None:
    pack = zlib.compressobj(wbits=31)
    bomb = b"".join(pack.compress(b" " * MIB) for _ in range(80)) + pack.flush()
    marks = [new_mark() for _ in range(3)]
    for mark, reply in zip(
        marks,
        [
            Reply([said("before")]),
            Reply([bomb], kind, headers=["Content-Encoding: gzip"]),
            Reply([said("after")]),
        ],
        strict=True,
    ):
        stage.upstream.reply = reply
        body = {"model": "m", "messages": [{"role": "user", "content": mark}]}
        with httpx.stream(
            "POST", f"{world.traefik.url}/v1/chat/completions", json=body, headers=stage.header
        ) as answer:
            assert b"".join(answer.iter_raw()) == b"".join(reply.pieces)
    before, flood, after = (world.audit.row(mark) for mark in marks)
    assert flood["response_bytes"] == len(bomb)
    assert len(flood["response_body"]) <= 64 * MIB
    assert not flood["output_tokens"]
    assert before["output_tokens"] == after["output_tokens"] == 1
    assert httpx.get(f"{world.collector.url}/ready").status_code == 200
