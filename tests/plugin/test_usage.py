"""`injectStreamUsage` in real Traefik: the collector sees the usage, the client sees what it would have seen."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from support import collector, model_server, tiny_model
from support.model_server import ModelServer
from support.stage import SetStage, Stage, request
from support.traefik import Traefik
from support.upstream import upstream
from support.wire import Head, Wire

PATIENCE = 30
QUESTION = b'"stream_options":{"include_usage":true},'
TEXT = ("Hello", ' "usage":null}', ',"usage":null}\n\n', "ü", "")
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
JSON = "Content-Type: application/json"


def body(**members: Any) -> bytes:
    """A request for a stream."""
    return json.dumps(
        {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}], **members}
    ).encode()


def event(**members: Any) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", **members}
    return b"data: %b\n\n" % json.dumps(chunk, separators=(",", ":")).encode()


def events(*, asked: bool) -> list[bytes]:
    """OpenAI's stream: asked for usage, it says null in each chunk and adds one."""
    null = {"usage": None} if asked else {}
    stream = [event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}], **null) for text in TEXT]
    stream.append(event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], **null))
    if asked:
        stream.append(event(choices=[], usage=USAGE))
    return [*stream, b"data: [DONE]\n\n"]


class Provider:
    """An upstream that does what OpenAI does, and keeps the requests it was sent."""

    def __init__(self, *lines: str, refuses: int = 0) -> None:
        self.requests: list[tuple[Head, bytes]] = []
        self.lines = lines
        self._refuses = refuses

    def __call__(self, wire: Wire, head: Head) -> None:
        sent = wire.read_body(head)
        self.requests.append((head, sent))
        asked = re.search(rb'"include_usage": ?true', sent) is not None
        if asked and self._refuses:
            answer = b'{"error":{"message":"Unrecognized request argument supplied: stream_options"}}'
            start = f"HTTP/1.1 {self._refuses} No\r\n{JSON}\r\nX-Refused: yes\r\nContent-Length: {len(answer)}\r\n\r\n"
            wire.send(start.encode() + answer)
        elif b'"stream": true' in sent or b'"stream":true' in sent:
            self.stream(wire, asked=asked)
        else:
            answer = json.dumps({"choices": [], "usage": USAGE}).encode()
            wire.send(f"HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)

    def stream(self, wire: Wire, *, asked: bool) -> None:
        wire.send("\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/event-stream", *self.lines]).encode())
        wire.send(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in [*events(asked=asked), b""]:
            wire.send_chunk(piece)

    @property
    def bodies(self) -> list[bytes]:
        return [sent for _, sent in self.requests]


def exchange(
    stage: Stage,
    sent: bytes,
    *lines: str,
    plain: bool = False,
    path: str = "/v1/chat/completions",
    method: str = "POST",
) -> tuple[str, dict[str, str], bytes]:
    """What a client sees of a call down the tapped route, or the plain one."""
    wire = stage.connect(stage.traefik.plain_url if plain else stage.traefik.url)
    wire.send(request(method, path, f"Content-Length: {len(sent)}", *lines, "Connection: close") + sent)
    head = wire.read_head()
    headers = {name: value for name, value in head.headers.items() if name != "date"}
    rest = wire.read_all()
    return head.start, headers, unchunked(rest) if "transfer-encoding" in headers else rest


def unchunked(rest: bytes) -> bytes:
    """A chunked body, its last chunk and its trailers, with nothing of where the chunks began."""
    content = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            return content + b"|0|" + rest
        content, rest = content + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return content


def learned(set_stage: SetStage, provider: Callable[[Wire, Head], None], **settings: Any) -> Stage:
    """A stage on which one plain stream of the model has been seen."""
    stage = set_stage(provider, injectStreamUsage=True, **settings)
    exchange(stage, body(), JSON)
    return stage


def test_the_client_sees_the_bytes_of_a_stream_that_was_not_asked(set_stage: SetStage) -> None:
    provider = Provider()
    stage = learned(set_stage, provider)

    for _ in range(3):
        assert exchange(stage, body(), JSON) == exchange(stage, body(), JSON, plain=True)
    asked = body().replace(b"{", b"{" + QUESTION, 1)
    assert provider.bodies == [body(), *[asked, body()] * 3]
    # The heads are the same too, but for the length.
    ours, theirs = (dict(head.headers) for head, _ in provider.requests[1:3])
    assert (int(ours.pop("content-length")), int(theirs.pop("content-length"))) == (len(asked), len(body()))
    volatile = {"x-forwarded-port", "x-forwarded-server", "host"}
    assert {n: v for n, v in ours.items() if n not in volatile} == {
        n: v for n, v in theirs.items() if n not in volatile
    }


def test_the_report_has_the_request_as_the_upstream_got_it_and_the_usage(set_stage: SetStage) -> None:
    stage = learned(set_stage, Provider())
    exchange(stage, body(), JSON)

    first, second = sorted(stage.collector.wait_for(2), key=lambda report: report.timestamp or "")
    assert first.response_content() == b"".join(events(asked=False))
    assert second.request_content() == body().replace(b"{", b"{" + QUESTION, 1)
    assert (second.request_bytes, second.request_truncated) == (len(second.request_content()), False)
    assert second.response_content() == b"".join(events(asked=True))
    assert (second.status, second.aborted) == (200, "")


ODD: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "asked for": (body(stream_options={"include_usage": True}), (JSON,)),
    "declined": (body(stream_options={"include_usage": False}), (JSON,)),
    "options of null": (body(stream_options=None), (JSON,)),
    "another wish for usage": (body(usage={"include": True}), (JSON,)),
    "not a stream": (body(stream=False), (JSON,)),
    "not JSON": (b'stream=true&x="stream": true', (JSON,)),
    "not whole JSON": (body()[:-1], (JSON,)),
    "JSON and more": (body() + b"{}", (JSON,)),
    "twice": (b'{"stream":false,"prompt":"","stream":true}', (JSON,)),
    "nothing": (b"", (JSON,)),
    "another type": (body(), ("Content-Type: text/plain",)),
    "another charset": (body().decode().encode("utf-16"), ("Content-Type: application/json; charset=utf-16",)),
    "encoded": (gzip.compress(body()), (JSON, "Content-Encoding: gzip")),
    "signed": (body(), (JSON, "Content-Digest: sha-256=:x:")),
    "large": (body(padding="x" * 1024 * 1024), (JSON,)),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_plainly_such_a_request_is_left_alone(set_stage: SetStage, odd: str) -> None:
    provider = Provider()
    stage = learned(set_stage, provider)
    sent, lines = ODD[odd]

    assert exchange(stage, sent, *lines) == exchange(stage, sent, *lines, plain=True)
    assert provider.bodies[1:] == [sent, sent]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/embeddings", "/v1/chat/completions/1", "/v1/messages"])
def test_other_paths_are_left_alone(set_stage: SetStage, path: str) -> None:
    provider = Provider()
    stage = learned(set_stage, provider)
    for _ in range(2):
        exchange(stage, body(), JSON, path=path)
    assert provider.bodies[1:] == [body()] * 2


def test_a_chunked_request_still_streams(set_stage: SetStage) -> None:
    arrived = threading.Event()

    def script(wire: Wire, _head: Head) -> None:
        assert wire.read_chunk() == b"{"
        arrived.set()
        assert wire.read_chunk() == b"}"
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    stage = set_stage(script, injectStreamUsage=True)
    wire = stage.connect()
    wire.send(request("POST", "/v1/chat/completions", JSON, "Transfer-Encoding: chunked"))
    wire.send_chunk(b"{")
    assert arrived.wait(PATIENCE)
    wire.send_chunk(b"}")
    wire.send_chunk(b"")
    assert wire.read_head().status == 200


def test_expect_100_continue_still_passes(set_stage: SetStage) -> None:
    provider = Provider()
    stage = learned(set_stage, provider)
    wire = stage.connect()
    wire.send(request("POST", "/v1/chat/completions", JSON, f"Content-Length: {len(body())}", "Expect: 100-continue"))
    assert wire.read_head().status == 100
    wire.send(body())
    assert wire.read_body(wire.read_head()) == b"".join(events(asked=False))
    assert provider.bodies[1:] == [body()]


@pytest.mark.parametrize("kept", [0, 10], ids=["nothing came", "a part came"])
def test_a_client_that_leaves_while_it_sends_is_told_the_same(set_stage: SetStage, kept: int) -> None:
    def script(wire: Wire, head: Head) -> None:
        with pytest.raises((EOFError, OSError)):
            wire.read_body(head)
        wire.close()

    stage = set_stage(script, injectStreamUsage=True)

    def left(url: str) -> int:
        wire = stage.connect(url)
        wire.send(request("POST", "/v1/chat/completions", JSON, f"Content-Length: {len(body())}") + body()[:kept])
        wire.end()
        return wire.read_head().status

    # Traefik finds out in two ways at once and answers by the first; with the body read before, that is the first.
    assert left(stage.traefik.plain_url) in {499, 502}
    assert left(stage.traefik.url) == 499
    (report,) = stage.collector.wait_for(1)
    assert (report.status, report.aborted, report.request_truncated) == (499, "client", True)


def test_each_chunk_arrives_before_the_next_is_sent(set_stage: SetStage) -> None:
    go_on = threading.Semaphore(0)

    class Paced(Provider):
        def stream(self, wire: Wire, *, asked: bool) -> None:
            if not asked:
                super().stream(wire, asked=asked)
                return
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in [*events(asked=True), b""]:
                assert go_on.acquire(timeout=PATIENCE)
                wire.send_chunk(piece)

    stage = learned(set_stage, Paced())
    wire = stage.post(body(), JSON)
    assert wire.read_head().status == 200  # before any of the body
    for piece in events(asked=False)[:-1]:
        go_on.release()
        assert wire.read_chunk() == piece
    go_on.release(2)  # the usage, which nobody sees, and the end
    assert wire.read_chunk() == events(asked=False)[-1]
    go_on.release()
    assert wire.read_chunk() == b""


@pytest.mark.parametrize("size", [1, 7, 100])
def test_events_in_pieces_of_any_size_come_whole(set_stage: SetStage, size: int) -> None:
    class Chopped(Provider):
        def stream(self, wire: Wire, *, asked: bool) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            whole = b"".join(events(asked=asked)).replace(b"\n", b"\r\n")
            for at in range(0, len(whole), size):
                wire.send_chunk(whole[at : at + size])
            wire.send(b"0\r\n\r\n")

    stage = set_stage(Chopped(), injectStreamUsage=True)
    for _ in range(2):
        wire = stage.post(body(), JSON)
        assert wire.read_body(wire.read_head()) == b"".join(events(asked=False)).replace(b"\n", b"\r\n")
    assert b'"total_tokens":13' in stage.collector.wait_for(2)[-1].response_content()


def test_a_stream_that_breaks_off_gives_the_client_all_that_came(set_stage: SetStage) -> None:
    class Breaking(Provider):
        def stream(self, wire: Wire, *, asked: bool) -> None:
            if not asked and len(self.requests) == 1:
                super().stream(wire, asked=asked)
                return
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            wire.send_chunk(events(asked=asked)[0] + b'data: {"error":{"message":"overloa')
            wire.close()

    stage = learned(set_stage, Breaking())
    ours = exchange(stage, body(), JSON)
    assert ours == exchange(stage, body(), JSON, plain=True)
    assert b"|0|" not in ours[2], "the client was told that the reply is whole"
    assert stage.collector.wait_for(2)[-1].aborted == "upstream"


def test_a_client_that_leaves_in_the_middle_is_blamed(set_stage: SetStage) -> None:
    gone = threading.Event()

    class Endless(Provider):
        def stream(self, wire: Wire, *, asked: bool) -> None:
            if not asked:
                super().stream(wire, asked=asked)
                return
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                while True:
                    wire.send_chunk(events(asked=True)[0])
            finally:
                gone.set()

    stage = learned(set_stage, Endless())
    wire = stage.post(body(), JSON)
    wire.read_head()
    assert wire.read_chunk().startswith(events(asked=False)[0])
    wire.reset()
    assert gone.wait(PATIENCE)
    assert stage.collector.wait_for(2)[-1].aborted == "client"


def test_streams_at_the_same_time_do_not_mix(set_stage: SetStage) -> None:
    stage = learned(set_stage, Provider())
    with ThreadPoolExecutor(32) as pool:
        seen = list(pool.map(lambda _: exchange(stage, body(), JSON)[2], range(200)))
    assert set(seen) == {b"".join(events(asked=False)) + b"|0|\r\n"}
    reports = stage.collector.wait_for(201)
    assert [report.response_content() for report in reports].count(b"".join(events(asked=True))) == 200


@pytest.mark.parametrize("status", [400, 422])
def test_an_upstream_that_refuses_gets_the_clients_own_request_and_is_asked_no_more(
    set_stage: SetStage, status: int
) -> None:
    provider = Provider(refuses=status)
    stage = learned(set_stage, provider)

    for _ in range(3):
        assert exchange(stage, body(), JSON) == exchange(stage, body(), JSON, plain=True)
    asked = body().replace(b"{", b"{" + QUESTION, 1)
    assert provider.bodies == [body(), asked, *[body()] * 6]
    # Both are reported, since the upstream had both.
    assert [report.status for report in stage.collector.wait_for(5)] == [200, status, 200, 200, 200]
    assert "refuses stream_options" in stage.traefik.log


def test_a_refusal_of_the_request_itself_is_the_clients(set_stage: SetStage) -> None:
    class Critical(Provider):
        def stream(self, wire: Wire, *, asked: bool) -> None:
            if b"bad" not in self.bodies[-1]:
                super().stream(wire, asked=asked)
                return
            answer = b'{"error":"wrong at %d"}' % self.bodies[-1].index(b"bad")
            wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    provider = Critical()
    stage = learned(set_stage, provider)
    bad = body(top_p="bad")
    assert exchange(stage, bad, JSON) == exchange(stage, bad, JSON, plain=True)
    exchange(stage, body(), JSON)
    assert QUESTION in provider.bodies[-1], "one bad request must not end the asking"


def test_other_middlewares_change_both_attempts_alike(set_stage: SetStage) -> None:
    provider = Provider(refuses=400)
    routers = {"tapped": {"middlewares": ["tap", "strip"]}}
    strip = {"stripPrefix": {"prefixes": ["/openai"]}}
    stage = set_stage(
        provider,
        injectStreamUsage=True,
        dynamic={"http": {"routers": routers, "middlewares": {"strip": strip}}},
    )
    for _ in range(2):
        exchange(stage, body(), JSON, path="/openai/v1/chat/completions")
    assert [head.target for head, _ in provider.requests] == ["/v1/chat/completions"] * 3


def test_what_was_learned_outlives_a_reload(set_stage: SetStage) -> None:
    provider = Provider()
    stage = learned(set_stage, provider)
    stage.traefik.configure(dynamic={"http": {"middlewares": {"other": {"stripPrefix": {"prefixes": ["/x"]}}}}})
    exchange(stage, body(), JSON)
    assert QUESTION in provider.bodies[1]


def test_early_hints_pass(set_stage: SetStage) -> None:
    class Hinting(Provider):
        def stream(self, wire: Wire, *, asked: bool) -> None:
            wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            super().stream(wire, asked=asked)

    stage = set_stage(Hinting(), injectStreamUsage=True)
    for _ in range(2):
        wire = stage.post(body(), JSON)
        assert [wire.read_head().status, wire.read_head().status] == [103, 200]
        while wire.read_chunk():
            pass


def test_trailers_pass(set_stage: SetStage) -> None:
    class Trailing(Provider):
        def stream(self, wire: Wire, *, asked: bool) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTrailer: X-Sum\r\n")
            wire.send(b"Transfer-Encoding: chunked\r\n\r\n")
            for piece in events(asked=asked):
                wire.send_chunk(piece)
            wire.send(b"0\r\nX-Sum: 42\r\n\r\n")

    stage = learned(set_stage, Trailing())
    ours = exchange(stage, body(), JSON)
    assert ours == exchange(stage, body(), JSON, plain=True)
    assert ours[2].endswith(b"|0|X-Sum: 42\r\n\r\n")


def test_a_compressing_middleware_in_front_compresses_what_the_client_should_see(set_stage: SetStage) -> None:
    provider = Provider()
    shrink = {"compress": {"minResponseBodyBytes": 1, "includedContentTypes": ["text/event-stream"]}}
    stage = set_stage(
        provider,
        injectStreamUsage=True,
        dynamic={
            "http": {"routers": {"tapped": {"middlewares": ["shrink", "tap"]}}, "middlewares": {"shrink": shrink}}
        },
    )
    with httpx.Client(headers={"Accept-Encoding": "gzip"}) as client:
        for _ in range(2):
            answer = client.post(
                f"{stage.traefik.url}/v1/chat/completions", content=body(), headers={"Content-Type": "application/json"}
            )
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.content == b"".join(events(asked=False))
    assert QUESTION in provider.bodies[1]
    assert b'"total_tokens":13' in stage.collector.wait_for(2)[-1].response_content()


def test_only_tapped_paths_are_asked(set_stage: SetStage) -> None:
    provider = Provider()
    stage = set_stage(provider, injectStreamUsage=True, paths=["/v1/"])
    for path in ("/v2/chat/completions", "/v1/chat/completions"):
        for _ in range(2):
            exchange(stage, body(), JSON, path=path)
    assert [QUESTION in sent for sent in provider.bodies] == [False, False, False, True]


# ── With real clients, a real collector and a real server ──────────────────────────────────


def test_openais_own_client_streams_unharmed(set_stage: SetStage) -> None:
    provider = Provider()
    stage = set_stage(provider, injectStreamUsage=True)
    with openai.OpenAI(base_url=f"{stage.traefik.url}/v1", api_key="not-a-secret", max_retries=0) as client:
        for _ in range(3):
            chunks = list(
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=True)
            )
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "".join(TEXT)
            assert {"usage" in chunk.model_fields_set for chunk in chunks} == {False}
        asked = list(
            client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "Hi"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        assert asked[-1].usage is not None
        assert asked[-1].usage.total_tokens == USAGE["total_tokens"]
    assert [QUESTION in sent for sent in provider.bodies] == [False, True, True, False]


@contextmanager
def metered(folder: Path, url: str) -> Iterator[tuple[Traefik, collector.Collector]]:
    """Traefik with the option before an upstream, and a real collector."""
    with collector.running(folder) as server:
        middleware = {"apiurl": f"{server.url}/api/report", "flushInterval": "10ms", "injectStreamUsage": True}
        with Traefik(folder, upstream=url, middleware=middleware) as traefik:
            yield traefik, server


def calls(server: collector.Collector, count: int) -> list[sqlite3.Row]:
    """Wait for so many rows of the audit, and give them in the order of the calls."""

    def rows() -> list[sqlite3.Row] | None:
        with closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True, timeout=PATIENCE)) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute("SELECT * FROM calls ORDER BY started_at").fetchall()
        return found if len(found) >= count else None

    return collector.wait_for(rows)


def test_the_collector_counts_what_the_provider_reported(tmp_path: Path) -> None:
    with upstream(Provider()) as url, metered(tmp_path, url) as (traefik, server):
        for _ in range(3):
            httpx.post(
                f"{traefik.url}/v1/chat/completions", content=body(), headers={"Content-Type": "application/json"}
            )
        rows = calls(server, 3)
    assert [row["usage_source"] for row in rows] == ["estimated", "reported", "reported"]
    assert [(row["input_tokens"], row["output_tokens"]) for row in rows[1:]] == [(9, 4)] * 2


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    model = tiny_model.build(tmp_path_factory.mktemp("model") / "tiny.gguf")
    with model_server.running(model) as server:
        yield server


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_llama_cpp_tells_its_usage_unasked_so_its_clients_keep_what_it_says(
    tmp_path: Path, llama: ModelServer, path: str
) -> None:
    """Asked, it would move its `timings` from the last choice to the usage chunk, and clients would miss them."""
    before = llama.truth()
    prompt = {"prompt": "Hi"} if path == "/v1/completions" else {"messages": [{"role": "user", "content": "Hi"}]}
    sent = {"model": tiny_model.NAME, "max_tokens": 5, "temperature": 0, "stream": True, **prompt}
    with metered(tmp_path, llama.url) as (traefik, server):
        for _ in range(3):
            answer = httpx.post(f"{traefik.url}{path}", json=sent)
            assert '"timings"' in answer.text
            assert '"choices":[]' not in answer.text
        rows = calls(server, 3)
    assert {row["usage_source"] for row in rows} == {"reported"}
    counted = llama.truth() - before
    assert sum(row["input_tokens"] for row in rows) == counted.input
    assert sum(row["output_tokens"] for row in rows) == counted.output
