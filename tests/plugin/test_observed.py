"""Traefik's own access log and metrics put wrappers of their own around requests and replies: the tap works in them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from support.collector import wait_for
from support.stage import SMALL, Stage, request, theatre
from support.wire import Head, Wire

EVENTS = [b"data: %d\n\n" % number for number in range(3)]
OBSERVED = {
    "accessLog": {"filePath": "access.log", "format": "json"},
    "metrics": {"prometheus": {"entryPoint": "traefik", "addServicesLabels": True}},
}


def answer(wire: Wire, head: Head) -> None:
    """A stream where the path asks for one, else something small."""
    wire.read_body(head)
    if head.target != "/stream":
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL))
        return
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for event in EVENTS:
        wire.send_chunk(event)
    wire.send_chunk(b"")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with theatre(tmp_path_factory.mktemp("traefik")) as set_stage:
        yield set_stage(answer, static=OBSERVED)


@pytest.mark.parametrize("framing", ["Content-Length: 4", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(("path", "body"), [("/small", SMALL), ("/stream", b"".join(EVENTS))])
def test_requests_and_replies_pass_and_are_reported(stage: Stage, path: str, body: bytes, framing: str) -> None:
    before = len(stage.collector.reports)
    sent = b"4\r\nping\r\n0\r\n\r\n" if "chunked" in framing else b"ping"
    wire = stage.connect()
    wire.send(request("POST", path, framing) + sent)
    assert wire.read_body(wire.read_head()) == body
    report = stage.collector.wait_for(before + 1)[-1]
    assert (report.request_body, report.response_content(), report.status, report.aborted) == ("ping", body, 200, "")


def test_traefik_counts_the_bytes_that_it_counts_without_the_plugin(stage: Stage) -> None:
    def counted(entry_point: str) -> float:
        return sum(
            float(line.rpartition(" ")[2])
            for line in httpx.get(f"{stage.traefik.api_url}/metrics").text.splitlines()
            if line.startswith("traefik_entrypoint_responses_bytes_total") and f'entrypoint="{entry_point}"' in line
        )

    def grown(entry_point: str, url: str) -> float:
        before = counted(entry_point)
        assert httpx.get(f"{url}/stream").content == b"".join(EVENTS)
        return wait_for(lambda: counted(entry_point) - before)  # Traefik counts after the client has its answer

    assert grown("tapped", stage.traefik.url) == grown("plain", stage.traefik.plain_url)
