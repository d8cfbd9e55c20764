"""Whatever stands at the collector's address: the traffic is as it is without the plugin, and no report is lost.

`test_delivery.py` has what the answers of a collector mean, and what is no answer at all.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.certificate import self_signed
from support.collector import wait_for
from support.recorder import Recorder
from support.stage import SetStage, Stage, request
from support.upstream import upstream
from support.wire import Head, Wire

CALLS = 20
ENDLESS = 1_000_000


def port(url: str) -> int:
    return urlsplit(url).port or 0


def traffic(stage: Stage) -> None:
    """Calls on both routes in turn, none of which may wait for the collector; both get the same."""
    routes = [stage.connect(url) for url in (stage.traefik.url, stage.traefik.plain_url)]
    for _ in range(CALLS):
        got = []
        for number, url in enumerate((stage.traefik.url, stage.traefik.plain_url)):
            try:
                got.append(ask(routes[number]))
            except EOFError:  # plain Traefik cuts some short, and then closes
                assert url == stage.traefik.plain_url
                routes[number] = stage.connect(url)
                got.append(got[0])
        assert got[0] == got[1]


def ask(wire: Wire) -> tuple[str, bytes]:
    wire.send(request("POST", "/v1/chat/completions", "Content-Length: 2") + b"{}")
    head = wire.read_head()
    return head.start, wire.read_body(head)


# ── What is there instead of a collector ────────────────────────────────────────────────


@contextmanager
def deaf() -> Iterator[str]:
    """The system accepts connections and what is sent on them; nobody ever reads it."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def unavailable(wire: Wire, head: Head) -> None:
    wire.read_body(head)
    wire.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


def broken(wire: Wire, head: Head) -> None:
    wire.read_body(head)
    wire.send(b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")


def mute(wire: Wire, head: Head) -> None:
    wire.read_body(head)
    wire.read_rest()


def closing(wire: Wire, _head: Head) -> None:
    wire.close()


def resetting(wire: Wire, _head: Head) -> None:
    wire.reset()


def half(wire: Wire, head: Head) -> None:
    wire.read_body(head)
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    wire.close()


def dripping_head(wire: Wire, head: Head) -> None:
    wire.read_body(head)
    wire.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(ENDLESS):
        wire.send(b"x")
        time.sleep(0.01)


def endless_headers(wire: Wire, head: Head) -> None:
    wire.read_body(head)
    wire.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(ENDLESS):
        wire.send(b"X-%d: %b\r\n" % (number, b"x" * 10_000))


def endless_hints(wire: Wire, head: Head) -> None:
    wire.read_body(head)
    for _ in range(ENDLESS):
        wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)


BAD = [
    unavailable,
    broken,
    mute,
    closing,
    resetting,
    half,
    dripping_head,
    endless_headers,
    endless_hints,
]


@pytest.mark.parametrize("bad", [*BAD, deaf], ids=lambda bad: bad.__name__)
def test_the_traffic_goes_on_and_the_reports_wait_for_something_better(
    set_stage: SetStage, bad: Callable[..., None]
) -> None:
    with deaf() if bad is deaf else upstream(bad) as url:
        stage = set_stage(apiurl=f"{url}/api/report", timeout="100ms")
        traffic(stage)
        stage.traefik.wait_for_log("reports wait")
        traffic(stage)
    with Recorder(port=port(url)) as better:
        reports = better.wait_for(2 * CALLS)
        sequences = sorted(report.source.sequence for report in reports if report.source)
        assert sequences == list(range(1, 2 * CALLS + 1))


def test_a_collector_that_answers_byte_by_byte_is_waited_for_by_nobody_but_the_sender(set_stage: SetStage) -> None:
    def dripping(wire: Wire, head: Head) -> None:
        bodies.append(wire.read_body(head))
        for byte in b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"rejected":[]}':
            wire.send(bytes([byte]))
            time.sleep(0.005)

    bodies: list[bytes] = []
    with upstream(dripping) as url:
        stage = set_stage(apiurl=f"{url}/api/report")
        traffic(stage)
        wait_for(lambda: sum(body.count(b"\n") for body in bodies) == CALLS)
    assert len(set(bodies)) == len(bodies)


# ── Behind TLS ──────────────────────────────────────────────────────────────────────────


def test_a_collector_whose_certificate_is_trusted_gets_the_reports(tmp_path: Path, set_stage: SetStage) -> None:
    certificate, tls = self_signed(tmp_path / "trusted")
    with Recorder(tls=tls) as collector:
        stage = set_stage(collector=collector, environment={"SSL_CERT_FILE": str(certificate)})
        traffic(stage)
        assert len(collector.wait_for(CALLS)) == CALLS
        assert "reports wait" not in stage.traefik.log


@pytest.mark.parametrize("name", ["IP:127.0.0.1", "DNS:collector.example"], ids=["of nobody", "of somebody else"])
def test_a_collector_whose_certificate_is_not_trusted_gets_nothing(
    tmp_path: Path, set_stage: SetStage, name: str
) -> None:
    """One that nobody vouches for, and one that is trusted but has another name."""
    certificate, tls = self_signed(tmp_path / "its-own", name)
    trusted = certificate if name.startswith("DNS") else self_signed(tmp_path / "another")[0]
    with Recorder(tls=tls) as collector:
        stage = set_stage(collector=collector, environment={"SSL_CERT_FILE": str(trusted)})
        traffic(stage)
        assert "certificate" in stage.traefik.wait_for_log("reports wait")
        traffic(stage)
        assert not collector.batches
