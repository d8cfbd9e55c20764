"""What real Traefik with the plugin reports about an exchange. Every report here passes the collector's own parser."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from support.stage import SMALL, SetStage, request
from support.wire import Head, Wire

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PATIENCE = 30
SECRETS = {
    "Authorization": "Bearer sk-planted-1",
    "Cookie": "session=planted-2",
    "X-Api-Key": "planted-3",
    "Api-Key": "planted-4",
    "X-Goog-Api-Key": "planted-5",
    "Proxy-Authorization": "Basic planted-6",
    "X-Unknown-Token": "planted-7",
}


def test_an_exchange_is_reported_in_full(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nX-Request-Id: up-1\r\n")
        wire.send(b"Content-Length: 2\r\n\r\n[]")

    stage = set_stage(script, provider="acme", labels={"team": "blue"}, captureUpstream=True)
    before = datetime.now(UTC)
    wire = stage.post(
        b'{"model":"gpt"}', "Content-Type: application/json", path="/model/a%2Fb/invoke?alt=sse&key=planted"
    )
    wire.read_body(wire.read_head())

    (report,) = stage.collector.wait_for(1)
    assert report.version == 1
    assert report.timestamp is not None
    assert before - timedelta(milliseconds=1) <= report.timestamp <= datetime.now(UTC)
    assert report.timestamp.utcoffset() == timedelta(0)
    assert (report.method, report.host, report.path, report.query) == (
        "POST",
        "models.example",
        "/model/a%2Fb/invoke",
        "alt=sse",
    )
    assert (report.request_body, report.request_bytes, report.request_truncated) == ('{"model":"gpt"}', 15, False)
    assert report.request_headers == {"content-type": "application/json"}
    assert (report.status, report.aborted) == (201, "")
    assert (report.response_body, report.response_bytes, report.response_truncated) == ("[]", 2, False)
    assert report.response_headers == {"content-type": "application/json", "x-request-id": "up-1"}
    assert report.time_to_first_byte is not None
    assert 0 < report.time_to_first_byte <= report.elapsed_time
    assert report.timeline == [(2, report.time_to_first_byte)]
    assert report.capture_bodies == "full"
    assert (report.provider, report.labels, report.middleware) == ("acme", {"team": "blue"}, "tap@file")
    assert report.upstream is not None
    assert report.upstream.startswith("127.0.0.1:")
    assert report.consumer is None


def test_the_ledger_numbers_the_reports_of_a_sender(set_stage: SetStage) -> None:
    stage = set_stage()
    for _ in range(3):
        wire = stage.post()
        wire.read_body(wire.read_head())

    reports = stage.collector.wait_for(3)
    sources = [report.source for report in reports if report.source]
    assert len({source.boot for source in sources}) == 1
    assert sorted(source.sequence for source in sources) == [1, 2, 3]
    assert {report.request_id for report in reports} == {f"{source.boot}-{source.sequence}" for source in sources}


def test_a_client_that_leaves_is_reported_with_what_had_arrived(set_stage: SetStage) -> None:
    left = threading.Event()

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM)
        wire.send_chunk(b"data: 1\n\n")
        assert left.wait(PATIENCE)
        while True:  # until Traefik hangs up
            wire.send_chunk(b"data: 2\n\n")

    stage = set_stage(script)
    wire = stage.post()
    wire.read_head()
    assert wire.read_chunk() == b"data: 1\n\n"
    wire.reset()
    left.set()

    (report,) = stage.collector.wait_for(1)
    assert (report.aborted, report.status) == ("client", 200)
    assert report.response_body.startswith("data: 1\n\n")


def test_a_client_that_leaves_a_silent_stream_is_reported(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM)
        wire.send_chunk(b"data: 1\n\n")
        wire.read_some()  # until Traefik hangs up

    stage = set_stage(script)
    wire = stage.post()
    wire.read_head()
    wire.read_chunk()
    wire.close()

    (report,) = stage.collector.wait_for(1)
    assert (report.aborted, report.response_body) == ("client", "data: 1\n\n")


def test_a_client_that_leaves_before_the_answer_is_reported(set_stage: SetStage) -> None:
    arrived = threading.Event()

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        arrived.set()
        wire.read_some()  # until Traefik hangs up

    stage = set_stage(script)
    wire = stage.post(b'{"model":"gpt"}')
    assert arrived.wait(PATIENCE)
    wire.close()

    (report,) = stage.collector.wait_for(1)
    assert (report.aborted, report.status, report.request_body) == ("client", 499, '{"model":"gpt"}')


def test_an_upstream_that_cannot_be_reached_is_traefiks_502(set_stage: SetStage) -> None:
    stage = set_stage(
        dynamic={"http": {"services": {"upstream": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}}}}
    )
    wire = stage.post(b'{"model":"gpt"}')

    assert wire.read_head().status == 502
    (report,) = stage.collector.wait_for(1)
    assert (report.aborted, report.status, report.response_body) == ("", 502, "Bad Gateway")


def test_bodies_are_cut_at_their_limits(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"b" * 300_000)

    stage = set_stage(script, maxRequestBody=1000, maxResponseBody=2000)
    wire = stage.post(b"a" * 200_000)

    assert wire.read_body(wire.read_head()) == b"b" * 300_000
    (report,) = stage.collector.wait_for(1)
    assert (report.request_body, report.request_bytes, report.request_truncated) == ("a" * 1000, 200_000, True)
    assert (report.response_body, report.response_bytes, report.response_truncated) == ("b" * 2000, 300_000, True)


def test_a_long_stream_keeps_its_first_and_last_mark(set_stage: SetStage) -> None:
    count = 12_000

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(STREAM)
        for _ in range(count):
            wire.send_chunk(b"data: word\n\n")
        wire.send(b"0\r\n\r\n")

    stage = set_stage(script)
    wire = stage.post()
    wire.read_head()
    while wire.read_chunk():
        pass

    (report,) = stage.collector.wait_for(1)
    written = [mark[0] for mark in report.timeline]
    seconds = [mark[1] for mark in report.timeline]
    assert len(written) <= 1024
    assert written[-1] == report.response_bytes == 12 * count
    assert (seconds[0], written) == (report.time_to_first_byte, sorted(set(written)))
    assert seconds == sorted(seconds)


def test_bodies_never_leave_the_proxy_when_told_so(set_stage: SetStage) -> None:
    stage = set_stage(captureBodies="never")
    wire = stage.post(b'{"prompt":"planted"}')

    assert wire.read_body(wire.read_head()) == SMALL
    (report,) = stage.collector.wait_for(1)
    assert b"planted" not in stage.collector.raw
    assert (report.request_body, report.request_bytes, report.request_truncated) == ("", 20, True)
    assert (report.response_body, report.response_bytes, report.response_truncated) == ("", len(SMALL), True)
    assert report.capture_bodies == "never"


def test_the_collector_is_told_to_keep_no_bodies(set_stage: SetStage) -> None:
    stage = set_stage(captureBodies="none")
    stage.post().read_head()

    (report,) = stage.collector.wait_for(1)
    assert (report.capture_bodies, report.response_body) == ("none", SMALL.decode())


@pytest.mark.parametrize(
    ("settings", "consumer"),
    [
        ({}, None),
        ({"consumerHeader": "x-team"}, "blue"),
        ({"consumerFromKey": "0123456789abcdef"}, "b8e3613c65840c3c"),
        ({"consumerHeader": "X-Team", "consumerFromKey": "0123456789abcdef"}, "blue"),
        ({"consumerHeader": "X-Absent", "consumerFromKey": "0123456789abcdef"}, "b8e3613c65840c3c"),
    ],
    ids=["nothing configured", "header", "key", "header before key", "key without header"],
)
def test_the_consumer_is_named(set_stage: SetStage, settings: dict[str, str], consumer: str | None) -> None:
    stage = set_stage(**settings)
    stage.post(b"{}", "X-Team: blue", "Authorization: Bearer sk-planted").read_head()

    (report,) = stage.collector.wait_for(1)
    assert report.consumer == consumer
    assert b"planted" not in stage.collector.raw


def test_no_secret_is_ever_reported(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: planted=8\r\nX-Unknown-Secret: planted\r\nContent-Length: 0\r\n\r\n")

    stage = set_stage(script, consumerFromKey="0123456789abcdef")
    headers = [f"{name}: {value}" for name, value in SECRETS.items()]
    for path in (
        "/v1/chat?key=planted-9&api_key=planted-10&KEY=planted-11&alt=sse",
        "/v1/chat?%6bey=planted-12;key=planted",
    ):
        stage.post(b"{}", *headers, path=path).read_head()
    stage.post(b"{}", path="/v1beta/models?key=planted-13").read_head()

    reports = stage.collector.wait_for(3)
    assert b"planted" not in stage.collector.raw
    assert all(report.consumer for report in reports)


def test_an_odd_exchange_still_makes_a_report_that_is_accepted(set_stage: SetStage) -> None:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        odd = "\r\n".join(f"X-Odd-{number}: {number}" for number in range(100)).encode()
        wire.send(b"HTTP/1.1 299 Odd\r\n" + odd + b"\r\nServer: " + b"\xff" * 20_000 + b"\r\n")
        wire.send(b"Content-Length: 6\r\n\r\n\x00\xff\xfe\xed\x80\x01")

    stage = set_stage(script)
    wire = stage.connect()
    path = "/v1/" + "p" * 20_000 + "?alt=" + "q" * 20_000
    wire.send(request("M" * 300, path, "Content-Length: 3", "Content-Type: \xff\xfe" + "u" * 20_000) + b"\xff\x00\xff")

    assert wire.read_body(wire.read_head()) == b"\x00\xff\xfe\xed\x80\x01"
    (report,) = stage.collector.wait_for(1)
    assert report.path is not None
    assert report.path.startswith("/v1/ppp")
    assert report.request_content() == b"\xff\x00\xff"
    assert report.response_content() == b"\x00\xff\xfe\xed\x80\x01"


def test_a_large_report_is_delivered_and_so_is_the_next(set_stage: SetStage) -> None:
    body = b'"\\' * 2 * 1024 * 1024

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    stage = set_stage(script)
    wire = stage.post(b"{}")

    assert wire.read_body(wire.read_head()) == body
    (report,) = stage.collector.wait_for(1)
    assert report.response_content() == body
    assert report.response_truncated is False
    wire = stage.post(b"next")
    wire.read_body(wire.read_head())
    assert stage.collector.wait_for(2)[1].request_body == "next"
