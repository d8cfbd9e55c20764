"""What the client and the upstream see of the plugin in real Traefik: nothing."""

import gzip
import hashlib
import os
import threading

import pytest

from support.stage import SMALL, SetStage, request
from support.wire import Head, Wire

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PATIENCE = 30


def test_each_chunk_arrives_before_the_upstream_sends_the_next(set_stage: SetStage) -> None:
    chunks = [b"data: %d\n\n" % number for number in range(5)]
    seen = [threading.Event() for _ in range(len(chunks) + 1)]

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM)
        for chunk, before in zip([*chunks, b""], seen, strict=True):
            assert before.wait(PATIENCE)
            wire.send_chunk(chunk)
        wire.send(b"\r\n")

    stage = set_stage(script)
    wire = stage.post()

    assert wire.read_head().status == 200
    for chunk, event in zip(chunks, seen, strict=False):
        event.set()
        assert wire.read_chunk() == chunk
    seen[-1].set()
    assert wire.read_chunk() == b""
    (report,) = stage.collector.wait_for(1)
    assert report.response_body == b"".join(chunks).decode()
    assert [written for written, _ in report.timeline] == [9, 18, 27, 36, 45]


def test_a_reply_of_known_length_is_not_held_back(set_stage: SetStage) -> None:
    seen = threading.Event()

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        assert seen.wait(PATIENCE)
        wire.send(b"-half")

    wire = set_stage(script).post()

    wire.read_head()
    assert wire.read_exactly(5) == b"first"
    seen.set()
    assert wire.read_exactly(5) == b"-half"


def test_a_websocket_upgrade_passes(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        assert head.headers["upgrade"] == "websocket"
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while message := wire.read_some():
            wire.send(b"echo " + message)

    stage = set_stage(script)
    wire = stage.connect()
    wire.send(request("GET", "/v1/realtime?model=gpt", "Connection: Upgrade", "Upgrade: websocket"))

    assert wire.read_head().status == 101
    for word in (b"one", b"two"):
        wire.send(word)
        assert wire.read_exactly(8) == b"echo " + word
    wire.close()
    (report,) = stage.collector.wait_for(1)
    assert (report.path, report.status, report.response_bytes) == ("/v1/realtime", None, None)


def test_a_large_upload_streams_and_arrives_unchanged(set_stage: SetStage) -> None:
    body = os.urandom(50 * 1024 * 1024)
    first_byte = threading.Event()
    arrived: list[str] = []

    def script(wire: Wire, head: Head) -> None:
        digest, missing = hashlib.sha256(), int(head.headers["content-length"])
        while missing:
            part = wire.read_some()
            first_byte.set()
            digest.update(part)
            missing -= len(part)
        arrived.append(digest.hexdigest())
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    stage = set_stage(script)
    wire = stage.connect()
    wire.send(request("POST", "/v1/files", f"Content-Length: {len(body)}") + body[:65536])
    assert first_byte.wait(PATIENCE), "nothing arrived before the client had sent everything"
    wire.send(body[65536:])

    assert wire.read_head().status == 200
    assert arrived == [hashlib.sha256(body).hexdigest()]
    (report,) = stage.collector.wait_for(1)
    assert report.request_content() == body[: 1024 * 1024]
    assert (report.request_bytes, report.request_truncated) == (len(body), True)


def test_a_chunked_upload_arrives_unchanged(set_stage: SetStage) -> None:
    arrived: list[bytes] = []

    def script(wire: Wire, head: Head) -> None:
        arrived.append(wire.read_body(head))
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    stage = set_stage(script)
    wire = stage.connect()
    wire.send(request("POST", "/v1/chat/completions", "Transfer-Encoding: chunked"))
    for part in (b'{"model"', b':"gpt"}', b""):
        wire.send_chunk(part)
    wire.send(b"\r\n")

    assert wire.read_head().status == 200
    assert arrived == [b'{"model":"gpt"}']
    (report,) = stage.collector.wait_for(1)
    assert (report.request_body, report.request_bytes, report.request_truncated) == ('{"model":"gpt"}', 15, False)


def test_a_compressed_reply_keeps_its_bytes(set_stage: SetStage) -> None:
    compressed = gzip.compress(b'{"choices":[]}' * 100)

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(compressed))
        wire.send(compressed)

    stage = set_stage(script)
    wire = stage.post(b"{}", "Accept-Encoding: gzip")

    assert wire.read_body(wire.read_head()) == compressed
    (report,) = stage.collector.wait_for(1)
    assert report.response_body_encoding == "base64"
    assert report.response_content() == compressed
    assert report.response_headers["content-encoding"] == "gzip"


def test_a_reply_that_traefik_compresses_is_reported_as_the_upstream_sent_it(set_stage: SetStage) -> None:
    body = b'{"text":"' + b"so it goes " * 500 + b'"}'

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    routers = {"tapped": {"middlewares": ["shrink", "tap"]}}
    dynamic = {"http": {"routers": routers, "middlewares": {"shrink": {"compress": {}}}}}
    stage = set_stage(script, dynamic=dynamic)
    head = stage.post(b"{}", "Accept-Encoding: gzip").read_head()

    assert head.headers["content-encoding"] == "gzip"
    (report,) = stage.collector.wait_for(1)
    assert report.response_content() == body
    assert "content-encoding" not in report.response_headers


@pytest.mark.parametrize("body", [b"", b"5\r\nhello\r\n"], ids=["no body", "a body"])
def test_trailers_pass(set_stage: SetStage, body: bytes) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.send(body + b"0\r\nX-Sum: 42\r\n\r\n")

    wire = set_stage(script).post()

    head = wire.read_head()
    assert head.headers["trailer"] == "X-Sum"
    while wire.read_chunk():
        pass
    assert wire.read_until(b"\r\n\r\n") == b"X-Sum: 42\r\n\r\n"


def test_informational_replies_pass_and_are_not_the_status(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    stage = set_stage(script)
    wire = stage.post()

    assert wire.read_head().status == 103
    assert wire.read_head().status == 200
    (report,) = stage.collector.wait_for(1)
    assert report.status == 200


def test_expect_100_continue_passes(set_stage: SetStage) -> None:
    stage = set_stage()
    wire = stage.connect()
    wire.send(request("POST", "/v1/chat/completions", "Content-Length: 2", "Expect: 100-continue"))

    assert wire.read_head().status == 100
    wire.send(b"{}")
    assert wire.read_body(wire.read_head()) == SMALL


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1234\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nEtag: "1"\r\n\r\n'),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["HEAD", "HEAD of unknown length", "204", "304", "empty"],
)
def test_a_reply_without_a_body_is_the_same_with_and_without_the_plugin(
    set_stage: SetStage, method: str, answer: bytes
) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(answer)

    stage = set_stage(script)

    def asked(url: str) -> tuple[str, dict[str, str]]:
        wire = stage.connect(url)
        # The second request shows that the first answer has ended where it should.
        wire.send(request(method, "/v1/models") + request(method, "/v1/models", "Connection: close"))
        heads = [wire.read_head(), wire.read_head()]
        assert wire.read_all() == b""
        assert len({head.start for head in heads}) == 1
        return heads[0].start, {name: value for name, value in heads[0].headers.items() if name != "date"}

    assert asked(stage.traefik.url) == asked(stage.traefik.plain_url)
    reports = stage.collector.wait_for(2)
    assert {(report.response_bytes, report.time_to_first_byte, len(report.timeline)) for report in reports} == {
        (0, None, 0)
    }


def test_a_cut_stream_is_cut_for_the_client_too(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM)
        wire.send_chunk(b"data: 1\n\n")
        wire.close()

    stage = set_stage(script)
    wire = stage.post()

    wire.read_head()
    assert wire.read_chunk() == b"data: 1\n\n"
    assert wire.read_all() == b"", "the client was told that the reply is whole"
    (report,) = stage.collector.wait_for(1)
    assert (report.aborted, report.response_body, report.status) == ("upstream", "data: 1\n\n", 200)


def test_a_reply_that_begins_before_the_request_is_known_to_have_ended_is_whole(set_stage: SetStage) -> None:
    """Plain Traefik cuts some of these replies short: see docs/adr/plugin-data-path.md."""

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM + b"9\r\ndata: 1\n\n\r\n")
        wire.send(b"0\r\n\r\n")

    stage = set_stage(script)
    for _ in range(200):
        wire = stage.post()
        wire.read_head()
        assert wire.read_chunk() == b"data: 1\n\n"
        assert wire.read_chunk() == b""
        wire.close()


def test_paths_that_are_not_tapped_pass(set_stage: SetStage) -> None:
    stage = set_stage(paths=["/v1/"])

    for path in ("/health", "/v1/chat/completions"):
        wire = stage.post(path=path)
        assert wire.read_body(wire.read_head()) == SMALL
    (report,) = stage.collector.wait_for(1)
    assert report.path == "/v1/chat/completions"
