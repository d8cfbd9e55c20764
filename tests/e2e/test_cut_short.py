"""Replies that end early or badly: the row says who broke off and counts what had arrived."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import httpx
import openai
import pytest

from e2e import upstream
from e2e.upstream import Reply
from e2e.world import Stage, World, eventually, new_mark
from support import model_server
from support.collector import wait_for

ENDLESS = {"stream": True, "max_tokens": 8000, "temperature": 0, "ignore_eos": True}
"""A stream that takes llama.cpp many seconds, so that it is cut in the middle for certain."""


def near(estimate: int, fewest: int, most: int) -> bool:
    """Whether an estimate fits what llama.cpp made, whose tokenizer isn't ours: by half, and for a frame around it."""
    return 0.5 * fewest <= estimate <= 1.5 * most + 2


def texts(lines: Iterator[str]) -> Iterator[str]:
    """The pieces of text of a chat stream as they come."""
    for line in lines:
        if line.startswith("data: {"):
            yield json.loads(line[6:])["choices"][0]["delta"].get("content") or ""


# ── The client leaves ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Left:
    """A client that closed the connection in the middle of a stream of llama.cpp."""

    row: sqlite3.Row
    got: list[str]
    """The pieces that it had got, a token each."""
    made: int
    """Tokens that llama.cpp had made."""


@pytest.fixture(scope="module")
def left(world: World) -> Left:
    mark = new_mark()
    body = {**ENDLESS, "messages": [{"role": "user", "content": mark}]}
    before = world.model_server.truth()
    with httpx.stream("POST", f"{world.traefik.url}/v1/chat/completions", json=body, timeout=60) as answer:
        got = list(islice(filter(None, texts(answer.iter_lines())), 20))
    row = world.audit.row(mark)
    # llama.cpp counts a call when it lets go of it.
    made = wait_for(lambda: world.model_server.truth().output - before.output)
    return Left(row, got, made)


def test_a_client_that_leaves_is_named_and_is_no_error_of_the_server(left: Left) -> None:
    assert (left.row["aborted"], left.row["http_status"], left.row["stream"]) == ("client", 200, 1)
    assert left.row["error_type"] is None


def test_a_client_that_leaves_is_counted_for_what_had_passed_and_not_for_more(left: Left) -> None:
    assert left.row["usage_source"] == "partial"
    assert near(left.row["output_tokens"], len(left.got), left.made)
    assert left.row["input_tokens"] > 0


def test_llama_cpp_hears_through_the_plugin_that_the_client_left(left: Left) -> None:
    assert len(left.got) <= left.made < ENDLESS["max_tokens"] / 2


def test_a_client_that_hangs_up_after_the_end_has_not_broken_anything_off(world: World) -> None:
    chunks = [{"delta": {"content": "Hi"}, "finish_reason": None}, {"delta": {}, "finish_reason": "stop"}]
    events = [json.dumps({"object": "chat.completion.chunk", "choices": [chunk]}) for chunk in chunks]
    frames = [f"data: {event}\n\n".encode() for event in [*events, "[DONE]"]]
    mark = new_mark()
    with upstream.running() as server, world.route(server.url) as header:
        # The connection stays open after the end, and OpenAI's SDK does not wait for it.
        server.reply = Reply([*frames, b": bye\n\n"], pause=0.05)
        with openai.OpenAI(base_url=f"{world.traefik.url}/v1", api_key="x", default_headers=header) as client:
            list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": mark}], stream=True))
        row = world.audit.row(mark)
    assert b"bye" not in row["response_body"].encode(), "the client was still there"
    assert (row["aborted"], row["usage_source"], row["error_type"]) == ("", "estimated", None)


# ── The server dies ─────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def killed(world: World, model: Path) -> tuple[sqlite3.Row, list[str]]:
    """A llama.cpp that was killed in the middle of a stream: the row, and what the client had got."""
    mark = new_mark()
    body = {**ENDLESS, "messages": [{"role": "user", "content": mark}]}
    with model_server.running(model) as victim, world.route(victim.url) as header:
        url = f"{world.traefik.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=header, timeout=60) as answer:
            pieces = filter(None, texts(answer.iter_lines()))
            got = [next(pieces)]
            victim.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                got.extend(pieces)  # keeps what came before the error
    return world.audit.row(mark), got


def test_a_server_that_dies_in_a_stream_is_named(killed: tuple[sqlite3.Row, list[str]]) -> None:
    row, _ = killed
    assert (row["aborted"], row["http_status"], row["stream"]) == ("upstream", 200, 1)


def test_a_server_that_dies_in_a_stream_is_counted_for_what_had_passed(
    killed: tuple[sqlite3.Row, list[str]],
) -> None:
    row, got = killed
    assert row["usage_source"] == "partial"
    assert near(row["output_tokens"], len(got), len(got))


def test_a_stream_cut_in_the_middle_of_an_event_keeps_the_events_before(world: World, stage: Stage) -> None:
    whole = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"one two three"}}]}\n\n'
    row = post(world, stage, Reply([whole, whole[:40]], cut=True))
    assert (row["aborted"], row["usage_source"], row["output_tokens"]) == ("upstream", "partial", 3)
    assert row["response_body"] == (whole + whole[:40]).decode()


# ── The server refuses ──────────────────────────────────────────────────────────────────


def post(world: World, stage: Stage, reply: Reply, path: str = "/v1/chat/completions") -> sqlite3.Row:
    """Ask for a chat, get this reply; the row."""
    mark = new_mark()
    stage.upstream.reply = reply
    body = {"model": "m", "messages": [{"role": "user", "content": mark}]}
    try:
        httpx.post(world.traefik.url + path, json=body, headers=stage.header)
    except httpx.RemoteProtocolError:
        assert reply.cut
    return world.audit.row(mark)


def no_tokens(row: sqlite3.Row) -> bool:
    return {row[name] for name in row.keys() if name.endswith("_tokens")} == {None}  # noqa: SIM118 - a row iterates its values


@pytest.mark.parametrize(
    ("path", "body", "status", "error_type"),
    [
        ("/v1/chat/completions", '{"messages": [MARK', 400, "invalid_request_error"),
        ("/v1/chat/completions", '{"model": "MARK"}', 400, "invalid_request_error"),
        ("/v1/messages", '{"messages": ["MARK"]}', 400, "invalid_request_error"),
        ("/v1/responses", '{"input": 5, "user": "MARK"}', 400, "invalid_request_error"),
        ("/v1/embeddings", '{"user": "MARK"}', 400, "invalid_request_error"),
        ("/v1/rerank", '{"query": "MARK", "documents": []}', 501, "not_supported_error"),
        ("/v1/nowhere/MARK", "{}", 404, "not_found_error"),
    ],
)
def test_an_error_of_llama_cpp_has_its_type_and_no_tokens(
    world: World, path: str, body: str, status: int, error_type: str
) -> None:
    mark = new_mark()
    url = world.traefik.url + path.replace("MARK", mark)
    answer = httpx.post(url, content=body.replace("MARK", mark))
    assert answer.status_code == status
    row = world.audit.row(mark)
    assert (row["http_status"], row["error_type"], row["usage_source"]) == (status, error_type, "unknown")
    assert no_tokens(row)


def test_an_error_costs_no_tokens_in_prometheus_either(world: World) -> None:
    before = world.settled()
    mark = new_mark()
    httpx.post(f"{world.traefik.url}/v1/chat/completions", content=f'{{"messages": "{mark}"}}')
    world.audit.row(mark)
    expected = replace(before, calls=before.calls + 1)
    assert eventually(world.in_prometheus, expected) == expected


def test_traefiks_own_answer_for_a_server_that_is_down_is_a_row(world: World) -> None:
    mark = new_mark()
    with upstream.running() as server:
        pass  # it ran, and doesn't any more
    with world.route(server.url) as header:
        answer = httpx.post(f"{world.traefik.url}/{mark}/v1/chat/completions", json={"model": "m"}, headers=header)
    row = world.audit.row(mark)
    assert (answer.status_code, row["http_status"], row["error_type"]) == (502, 502, "http_502")
    assert (row["operation_name"], row["response_body"]) == ("chat", answer.text)
    assert no_tokens(row)


def test_a_page_in_html_is_an_error_and_not_a_reply(world: World, stage: Stage) -> None:
    row = post(world, stage, Reply([b"<html><h1>502 Bad Gateway</h1></html>"], "text/html", "502 Bad Gateway"))
    assert (row["error_type"], row["usage_source"]) == ("http_502", "unknown")
    assert no_tokens(row)


def test_an_error_in_a_stream_that_began_well_is_an_error(world: World, stage: Stage) -> None:
    first = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    error = b'data: {"error":{"type":"server_error","message":"out of memory"}}\n\n'
    row = post(world, stage, Reply([first, error]))
    assert (row["http_status"], row["error_type"]) == (200, "server_error")


def test_a_body_that_is_not_utf8_is_a_row(world: World, stage: Stage) -> None:
    row = post(world, stage, Reply([b'{"choices": "\xff\xfe"}'], "application/json"))
    assert row["usage_source"] in ("unknown", "estimated")
    assert row["http_status"] == 200


def test_a_path_that_nobody_knows_is_audited_as_unknown(world: World, stage: Stage) -> None:
    row = post(world, stage, Reply([b'{"weather": "fine"}'], "application/json"), "/v9/weather")
    assert (row["path"], row["usage_source"], row["error_type"]) == ("/v9/weather", "unknown", None)
    assert row["response_body"] == '{"weather": "fine"}'
    assert no_tokens(row)


def test_a_path_that_nobody_knows_is_counted_as_a_request(world: World, stage: Stage) -> None:
    post(world, stage, Reply([b"ok"], "text/plain"), "/v9/weather")
    world.settled()
    unknown = world.audit.sums("usage_source = 'unknown'")
    assert unknown.calls > 0
    assert eventually(lambda: world.in_prometheus(llmtoken_usage_source="unknown"), unknown) == unknown
