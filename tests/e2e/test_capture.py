"""What each way to capture bodies leaves behind, from real Traefik to the database's files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from e2e.collector import CollectorProcess
from support.collector import wait_for
from support.traefik import Traefik
from support.upstream import upstream
from support.wire import Head, Wire

REPLY = json.dumps(
    {
        "model": "gpt-4o",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "the-answer"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }
).encode()
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "the-question"}]}


class Place:
    """Traefik before a collector, and what stays of a call."""

    def __init__(self, traefik: Traefik, collector: CollectorProcess) -> None:
        self._traefik, self._collector = traefik, collector
        self._calls = 0

    def ask(self, **headers: str) -> tuple[int | None, int | None, str | None, str | None]:
        """Tokens and bodies of a call that is made now; whatever the way, the client has its answer."""
        answer = httpx.post(f"{self._traefik.url}/v1/chat/completions", json=ASKED, headers=headers)
        assert answer.content == REPLY
        self._calls += 1
        query = (
            "SELECT input_tokens, output_tokens, request_body, response_body, "
            "(SELECT count(*) FROM calls) FROM calls LEFT JOIN bodies ON call_id = calls.id ORDER BY calls.id DESC"
        )

        def newest() -> tuple[int | None, int | None, str | None, str | None] | None:
            with closing(sqlite3.connect(f"file:{self._collector.database}?mode=ro", uri=True)) as connection:
                row = connection.execute(query).fetchone()
            return row[:4] if row and row[4] == self._calls else None

        return wait_for(newest)

    def capture(self, mode: str) -> None:
        self._traefik.configure(middleware=middleware(self._collector, captureBodies=mode))

    def traces(self) -> set[str]:
        """Which words of the conversation are in any file of the collector, or in Traefik's log."""
        files = [path.read_bytes() for path in self._collector.folder.iterdir() if path.is_file()]
        everything = b"".join(files) + self._traefik.log.encode()
        return {word for word in ("the-question", "the-answer") if word.encode() in everything}


def middleware(collector: CollectorProcess, **more: str) -> dict[str, str]:
    url = f"{collector.url}/api/report"
    return {"apiurl": url, "flushInterval": "10ms", "consumerHeader": "X-Consumer", **more}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        wire.send(b"Content-Length: %d\r\n\r\n%b" % (len(REPLY), REPLY))

    collector = CollectorProcess(tmp_path / "collector", {"LLMTOKEN_PRIVATE_CONSUMERS": "hr-*"})
    collector.start()
    try:
        with (
            upstream(script) as url,
            Traefik(tmp_path / "traefik", upstream=url, middleware=middleware(collector)) as traefik,
        ):
            yield Place(traefik, collector)
    finally:
        collector.kill()


def test_each_mode_leaves_what_it_says_and_no_more(place: Place) -> None:
    place.capture("never")
    assert place.ask() == (None, None, None, None)
    assert place.traces() == set()
    place.capture("none")
    assert place.ask() == (9, 2, None, None)
    assert place.traces() == set()
    place.capture("full")
    assert place.ask(**{"X-Consumer": "hr-1"}) == (9, 2, None, None)
    assert place.traces() == set()
    assert place.ask(**{"X-Consumer": "sales"}) == (9, 2, json.dumps(ASKED, separators=(",", ":")), REPLY.decode())
    assert place.traces() == {"the-question", "the-answer"}
