"""The model server's URL, and what it says when it is asked."""

import asyncio
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from llmtoken.errors import ConfigError
from llmtoken.stack import upstream
from llmtoken.stack.ports import Ports


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        ("https://api.openai.com", "https://api.openai.com"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_scheme_host_and_port_are_taken(given: str, taken: str) -> None:
    assert upstream.checked(given) == taken


@pytest.mark.parametrize(
    "given",
    [
        "localhost:11434",
        "ftp://host",
        "http://",
        "http://host:99999",
        "http://host:0",
        "http://[::1",
        "http://a b",
        "''",
    ],
)
def test_what_is_not_an_http_url_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        upstream.checked(given)
    assert repr(given) in refusal.value.message
    assert "http://127.0.0.1:11434" in refusal.value.hint


def test_a_path_is_refused_because_traefik_would_ignore_it() -> None:
    with pytest.raises(ConfigError, match="has a path") as refusal:
        upstream.checked("http://127.0.0.1:11434/v1")
    assert refusal.value.hint == "give http://127.0.0.1:11434, and put /v1 into the client's base URL"


def test_a_password_in_the_url_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError) as refusal:
        upstream.checked("http://me:secret@host")
    assert "secret" not in str(refusal.value)


class _Models(BaseHTTPRequestHandler):
    status, body = 200, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Models]]]:
    class Handler(_Models):
        pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", Handler
        finally:
            server.shutdown()
            thread.join()


def test_the_first_model_on_offer_is_told(server: tuple[str, type[_Models]]) -> None:
    url, handler = server
    handler.body = b'{"object": "list", "data": [{"id": "qwen3"}, {"id": "other"}]}'
    assert asyncio.run(upstream.ask(url)) == upstream.Answer(model="qwen3")


@pytest.mark.parametrize(("status", "body"), [(401, b"{}"), (404, b"<html>"), (200, b"[]"), (200, b'{"data": []}')])
def test_any_answer_means_that_it_is_there(server: tuple[str, type[_Models]], status: int, body: bytes) -> None:
    url, handler = server
    handler.status, handler.body = status, body
    assert asyncio.run(upstream.ask(url)) == upstream.Answer()


def test_no_answer_says_why() -> None:
    port = Ports().claim("127.0.0.1", 0, owner="nobody", option="")
    assert asyncio.run(upstream.ask(f"http://127.0.0.1:{port}")).problem == "All connection attempts failed"
