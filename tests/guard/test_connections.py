"""A real collector among clients who take their time: they are cut, and the others notice nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import uvicorn

from llmtoken import config
from llmtoken.guard import Limits, guarded
from llmtoken.server import create_app
from support.collector import wait_for
from support.needs import open_files

REPORT = {"request_body": "{}", "response_body": "{}", "elapsed_time": 1}
HEAD = b"POST /api/report HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@contextmanager
def serving(tmp_path: Path, limits: Limits) -> Iterator[tuple[str, int]]:
    """The collector's own server and protocol with limits of a test's size."""
    settings = config.load(None, database=str(tmp_path / "llmtoken.db"), log_level="warning")
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings), log_config=None, access_log=False, http=guarded(limits), ws="none")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{port}", port
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def connect(stack: ExitStack, port: int, source: str = "127.0.0.1") -> socket.socket:
    connection = stack.enter_context(socket.socket())
    connection.settimeout(30)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    return connection


def ended(connection: socket.socket) -> bool:
    """Whether the other side has ended the connection; waits for it."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


def report(url: str) -> int:
    return httpx.post(f"{url}/api/report", json=REPORT, timeout=30).status_code


@pytest.mark.parametrize("sent", [b"", b"POST /api/report HT", HEAD, HEAD + b"content-length: 10\r\n\r\n{"])
def test_who_does_not_finish_a_request_is_cut(tmp_path: Path, sent: bytes) -> None:
    limits = Limits(head_seconds=0.2, body_seconds=0.2)
    with serving(tmp_path, limits) as (url, port), ExitStack() as stack:
        connection = connect(stack, port)
        connection.sendall(sent)
        assert ended(connection)
        assert report(url) == 200


def test_a_byte_now_and_then_does_not_prolong_a_head(tmp_path: Path) -> None:
    with serving(tmp_path, Limits(head_seconds=0.5)) as (_, port), ExitStack() as stack:
        connection = connect(stack, port)
        connection.sendall(HEAD)
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < 20:
                connection.sendall(b"x-a: b\r\n")
                time.sleep(0.02)
        assert time.monotonic() - began < 20


def test_a_byte_now_and_then_does_not_prolong_a_body(tmp_path: Path) -> None:
    with serving(tmp_path, Limits(body_seconds=0.3)) as (_, port), ExitStack() as stack:
        connection = connect(stack, port)
        connection.sendall(HEAD + b"content-length: 1000000\r\n\r\n")
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < 20:
                connection.sendall(b" ")
                time.sleep(0.02)
        assert time.monotonic() - began < 20


def test_the_next_request_on_a_connection_has_a_time_of_its_own(tmp_path: Path) -> None:
    body = b'{"request_body": "{}", "response_body": "{}", "elapsed_time": 1}'
    whole = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    with serving(tmp_path, Limits(head_seconds=0.3, body_seconds=600)) as (_, port), ExitStack() as stack:
        connection = connect(stack, port)
        for _ in range(3):
            connection.sendall(whole)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(HEAD)
        assert connection.recv(4096).startswith(b"HTTP/1.1 408"), "though a body's longer time was running"


def test_a_body_that_keeps_coming_may_take_as_long_as_it_takes(tmp_path: Path) -> None:
    limits = Limits(body_seconds=0.2, body_bytes=100)
    body = b'{"request_body": "{}", "response_body": "{}", "elapsed_time": 1}' + b" " * 20_000
    with serving(tmp_path, limits) as (_, port), ExitStack() as stack:
        connection = connect(stack, port)
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 2000):
            connection.sendall(body[start : start + 2000])
            time.sleep(0.08)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_a_connection_that_is_kept_alive_waits_for_its_next_request(tmp_path: Path) -> None:
    with serving(tmp_path, Limits(head_seconds=0.2)) as (url, _), httpx.Client(base_url=url) as client:
        assert client.post("/api/report", json=REPORT).status_code == 200
        time.sleep(0.6)
        stream = client.stream("POST", "/api/report", json=REPORT)
        with stream as answer:
            assert answer.status_code == 200


def test_hundreds_of_slow_ones_do_not_keep_others_from_reporting(tmp_path: Path) -> None:
    open_files(2000)
    limits = Limits(connections=100, per_client=50)
    with serving(tmp_path, limits) as (url, port), ExitStack() as stack:
        slow = [connect(stack, port, f"127.0.0.{2 + number % 8}") for number in range(400)]
        for number, connection in enumerate(slow):
            with suppress(ConnectionError):
                connection.sendall(HEAD if number % 2 else HEAD + b"content-length: 99999\r\n\r\n")
        assert [report(url) for _ in range(20)] == [200] * 20


def test_one_client_does_not_take_the_places_of_all(tmp_path: Path) -> None:
    with serving(tmp_path, Limits(connections=40, per_client=10)) as (_, port), ExitStack() as stack:
        other = connect(stack, port, "127.0.0.9")
        many = [connect(stack, port, "127.0.0.2") for _ in range(60)]
        assert ended(many[0]), "the one that has waited longest gives way"
        other.sendall(HEAD + b"content-length: 2\r\n\r\n[]")
        assert other.recv(4096).startswith(b"HTTP/1.1 422")
