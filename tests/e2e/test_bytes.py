"""The traffic is the same with the plugin and without it, byte for byte, and the audit keeps what passed.

llama.cpp puts fresh ids and clocks into every reply, so its replies are recorded once and then
played by an upstream that always sends the same: direct, through plain Traefik and through the plugin.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from e2e.upstream import Reply
from e2e.world import Stage, World, new_mark
from support.model_server import ModelServer

ASK = [{"role": "user", "content": "Whereas recognition of the inherent dignity, naïve café ☕"}]
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": ASK, "max_tokens": 8}),
    "chat streamed": ("/v1/chat/completions", {"messages": ASK, "max_tokens": 8, "stream": True}),
    "responses streamed": ("/v1/responses", {"input": "Whereas", "max_output_tokens": 8, "stream": True}),
    "messages": ("/v1/messages", {"messages": ASK, "max_tokens": 8}),
    "messages streamed": ("/v1/messages", {"messages": ASK, "max_tokens": 8, "stream": True}),
    "embeddings": ("/v1/embeddings", {"input": "Whereas"}),
    "error": ("/v1/chat/completions", {"messages": 5}),
}


@dataclass(frozen=True)
class Answer:
    """A reply as bytes, before anything is unpacked."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(base_url: str, path: str, body: dict[str, Any], **headers: str) -> Answer:
    """Post JSON and read the raw reply; what differs from second to second is left out."""
    with httpx.stream("POST", base_url + path, json=body, headers=headers, timeout=60) as answer:
        raw = b"".join(answer.iter_raw())
    return Answer(answer.status_code, {k: v for k, v in answer.headers.items() if k != "date"}, raw)


def ask_plain_traefik(base_url: str, path: str, body: dict[str, Any], **headers: str) -> Answer:
    """The control. Plain Traefik cuts about one quick stream in 70 short, which is not what we compare with."""
    for _ in range(5):
        with suppress(httpx.RemoteProtocolError):
            return ask(base_url, path, body, **headers)
    raise AssertionError("plain Traefik never gave a whole reply")


@pytest.fixture(scope="module")
def recorded(llama: ModelServer) -> dict[str, Reply]:
    """llama.cpp's reply to each request, in the pieces in which it came."""
    replies = {}
    for name, (path, body) in REQUESTS.items():
        with httpx.stream("POST", llama.url + path, json={"temperature": 0, **body}) as answer:
            pieces = list(answer.iter_raw())
        status = f"{answer.status_code} {answer.reason_phrase}"
        replies[name] = Reply(pieces, answer.headers["content-type"], status)
    return replies


def plain(reply: Reply) -> Reply:
    return reply


def gzipped(reply: Reply) -> Reply:
    """The same reply compressed as servers do it: every piece can be read as soon as it is there."""
    pack = zlib.compressobj(wbits=31)
    pieces = [pack.compress(piece) + pack.flush(zlib.Z_SYNC_FLUSH) for piece in reply.pieces] + [pack.flush()]
    return Reply(pieces, reply.content_type, reply.status, ["Content-Encoding: gzip"])


replies = pytest.mark.parametrize("name", REQUESTS)
encodings = pytest.mark.parametrize("encoded", [plain, gzipped], ids=["plain", "gzip"])


@replies
@encodings
def test_the_client_gets_the_bytes_and_headers_that_it_gets_without_the_plugin(
    world: World, stage: Stage, recorded: dict[str, Reply], name: str, encoded: Any
) -> None:
    reply = stage.upstream.reply = encoded(recorded[name])
    path, body = REQUESTS[name]
    tapped = ask(world.traefik.url, path, body, **stage.header)
    assert tapped.body == b"".join(reply.pieces)
    assert tapped == ask_plain_traefik(world.traefik.plain_url, path, body, **stage.header)
    assert tapped.body == ask(stage.upstream.url, path, body).body


@replies
@encodings
def test_the_audit_keeps_the_reply_as_text_whatever_its_encoding_was(
    world: World, stage: Stage, recorded: dict[str, Reply], name: str, encoded: Any
) -> None:
    reply = stage.upstream.reply = encoded(recorded[name])
    path, body = REQUESTS[name]
    mark = new_mark()
    ask(world.traefik.url, path, {**body, "user": mark}, **stage.header)
    row = world.audit.row(mark)
    assert row["response_body"] == b"".join(recorded[name].pieces).decode()
    assert row["response_bytes"] == sum(map(len, reply.pieces))
    assert (row["request_truncated"], row["response_truncated"]) == (0, 0)


@pytest.mark.parametrize("name", ["chat", "chat streamed", "messages streamed", "responses streamed", "embeddings"])
def test_a_gzipped_reply_is_counted_like_the_same_reply_in_plain(
    world: World, stage: Stage, recorded: dict[str, Reply], name: str
) -> None:
    counted = []
    for encoded in (plain, gzipped):
        stage.upstream.reply = encoded(recorded[name])
        path, body = REQUESTS[name]
        mark = new_mark()
        ask(world.traefik.url, path, {**body, "user": mark}, **stage.header)
        row = world.audit.row(mark)
        counted.append([row[column] for column in ("input_tokens", "output_tokens", "usage_source", "response_id")])
    assert counted[0] == counted[1]
    assert counted[0][2] == "reported"


def test_the_model_server_gets_the_request_that_it_gets_without_the_plugin(
    world: World, stage: Stage, recorded: dict[str, Reply]
) -> None:
    stage.upstream.reply = recorded["chat"]
    got = []
    for base_url in (world.traefik.url, world.traefik.plain_url):
        body = gzip.compress(json.dumps({"messages": ASK}).encode(), mtime=0)
        headers = {"authorization": "Bearer secret", "content-encoding": "gzip", "host": "api.example", **stage.header}
        httpx.post(f"{base_url}/v1/chat/completions?beta=true", content=body, headers=headers)
        request = stage.upstream.requests[-1]
        sent = {**request.head.headers, "x-forwarded-port": "the entry point's"}
        got.append((request.head.start, sent, request.body))
    assert got[0] == got[1]
    assert got[0][2] == body


@pytest.mark.parametrize("name", ["chat", "chat streamed", "messages streamed", "responses streamed", "embeddings"])
def test_llama_cpp_says_the_same_through_the_plugin_but_for_its_ids_and_clocks(
    world: World, llama: ModelServer, name: str
) -> None:
    path, body = REQUESTS[name]
    body = {**body, "temperature": 0, "cache_prompt": False}
    assert lasting(ask(world.traefik.url, path, body)) == lasting(ask(llama.url, path, body))


def lasting(answer: Answer) -> tuple[int, str, str]:
    """Status, type and body of a reply without what llama.cpp makes anew each time."""
    text = re.sub(r'"(id|item_id|created|created_at|completed_at)": ?("\w+-?\w+"|\d+)', r'"\1":0', answer.body.decode())
    text = re.sub(r'"(\w+_ms|\w+_per_second)":[\d.e+-]+', r'"\1":0', text)
    return answer.status, answer.headers["content-type"], text


@pytest.mark.parametrize("announced", [True, False], ids=["with a length", "in chunks"])
def test_quick_replies_are_all_whole(world: World, stage: Stage, announced: bool) -> None:
    # Plain Traefik cuts about one in a hundred: its transport asks for the request's body once too often.
    stage.upstream.reply = Reply([b"quick"])
    body = b'{"model": "m"}'
    with httpx.Client(base_url=world.traefik.url, headers=stage.header) as client:
        for _ in range(300):
            assert client.post("/v1/chat/completions", content=body if announced else iter([body])).content == b"quick"
