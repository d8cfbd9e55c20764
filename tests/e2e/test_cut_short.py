"""Replies that end early or badly: the row says who broke off and counts what had arrived."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import httpx
import openai
import pytest

from e2e import upstream
from e2e.upstream import Reply
from e2e.world import Stage, World, eventually, new_mark
from llmtoken.count.encodings import load
from support import model_server
from support.collector import wait_for

ENDLESS = {"stream": True, "max_tokens": 8000, "temperature": 0, "ignore_eos": True}
"""A stream that takes llama.cpp many seconds, so that it is cut in the middle for certain."""

FRAME = 2
"""Tokens that an estimate may add for what a model's family puts around a text, and for rounding."""


def tiktokens(text: str) -> int:
    """How many tokens our estimate has for a text, asked of tiktoken itself."""
    return len(load("o200k_base").encode_ordinary(text))


def texts(lines: Iterator[str]) -> Iterator[str]:
    """The pieces of text of a chat stream as they come."""
    for line in lines:
        if line.startswith("data: {"):
            yield json.loads(line[6:])["choices"][0]["delta"].get("content") or ""


# ── The client leaves ───────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def left(world: World) -> tuple[sqlite3.Row, str, str]:
    """A client that closed the connection in the middle: the row, what it had got, and what llama.cpp had made."""
    mark = new_mark()
    body = {**ENDLESS, "messages": [{"role": "user", "content": mark}]}
    before = world.model_server.truth()
    with httpx.stream("POST", f"{world.traefik.url}/v1/chat/completions", json=body, timeout=60) as answer:
        got = "".join(islice(texts(answer.iter_lines()), 20))
    row = world.audit.row(mark)
    # llama.cpp counts a call when it lets go of it.
    made = wait_for(lambda: world.model_server.truth().output - before.output)
    whole = httpx.post(
        f"{world.model_server.url}/v1/chat/completions", json={**body, "stream": False, "max_tokens": made}, timeout=60
    ).json()
    return row, got, whole["choices"][0]["message"]["content"]


def test_a_client_that_leaves_is_named_and_is_no_error_of_the_server(left: tuple[sqlite3.Row, str, str]) -> None:
    row, _, _ = left
    assert (row["aborted"], row["http_status"], row["stream"]) == ("client", 200, 1)
    assert row["usage_source"] == "partial"


def test_a_client_that_leaves_is_counted_for_what_had_passed_and_not_for_more(
    left: tuple[sqlite3.Row, str, str],
) -> None:
    row, got, made = left
    assert made.startswith(got)
    assert 0 < tiktokens(got) <= row["output_tokens"] <= tiktokens(made) + FRAME
    assert row["input_tokens"] > 0


def test_llama_cpp_hears_through_the_plugin_that_the_client_left(left: tuple[sqlite3.Row, str, str]) -> None:
    _, _, made = left
    assert tiktokens(made) < ENDLESS["max_tokens"] / 2


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
def killed(world: World, model: Path) -> tuple[sqlite3.Row, str]:
    """A llama.cpp that was killed in the middle of a stream: the row, and what the client had got."""
    mark = new_mark()
    body = {**ENDLESS, "messages": [{"role": "user", "content": mark}]}
    with model_server.running(model) as victim, world.route(victim.url) as header:
        url = f"{world.traefik.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=header, timeout=60) as answer:
            pieces = texts(answer.iter_lines())
            got = [next(pieces), next(pieces)]
            victim.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                got.extend(pieces)  # keeps what came before the error
    return world.audit.row(mark), "".join(got)


def test_a_server_that_dies_in_a_stream_is_named(killed: tuple[sqlite3.Row, str]) -> None:
    row, _ = killed
    assert (row["aborted"], row["http_status"], row["stream"]) == ("upstream", 200, 1)


def test_a_server_that_dies_in_a_stream_is_counted_for_what_the_client_got(killed: tuple[sqlite3.Row, str]) -> None:
    row, got = killed
    assert row["usage_source"] == "partial"
    assert tiktokens(got) <= row["output_tokens"] <= tiktokens(got) + FRAME


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
        ("/v1/chat/completions", '{"messages": [%s', 400, "invalid_request_error"),
        ("/v1/chat/completions", '{"model": "%s"}', 400, "invalid_request_error"),
        ("/v1/messages", '{"messages": ["%s"]}', 400, "invalid_request_error"),
        ("/v1/responses", '{"input": 5, "user": "%s"}', 400, "invalid_request_error"),
        ("/v1/embeddings", '{"user": "%s"}', 400, "invalid_request_error"),
        ("/v1/rerank", '{"query": "%s", "documents": []}', 501, "not_supported_error"),
        ("/v1/nowhere", '{"prompt": "%s"}', 404, "not_found_error"),
    ],
)
def test_an_error_of_llama_cpp_has_its_type_and_no_tokens(
    world: World, path: str, body: str, status: int, error_type: str
) -> None:
    mark = new_mark()
    answer = httpx.post(world.traefik.url + path, content=body % mark)
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
