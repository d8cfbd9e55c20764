"""The programs in bench/load see what goes wrong: a measurement whose checks can't fail proves nothing."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.needs import ROOT
from support.upstream import upstream
from support.wire import Head, Wire


@contextmanager
def running(executable: Path) -> Iterator[str]:
    """A server of bench/load; gives its URL."""
    with subprocess.Popen([executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def load(programs: Path, url: str, *options: str) -> dict[str, Any]:
    command = [str(programs / "client"), f"-url={url}/v1/chat/completions", "-seconds=20", *options]
    seen: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return seen


@pytest.fixture
def answer(programs: Path) -> bytes:
    """The JSON reply that the client expects."""
    with running(programs / "upstream") as url:
        return httpx.post(url).content


def answering(body: bytes, length: int, status: str = "200 OK") -> Iterator[str]:
    """Serve this instead, and close the connection."""

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status.encode(), length) + body)
        raise EOFError

    return upstream(script)


def test_the_client_finds_all_in_order_when_it_is(programs: Path) -> None:
    with running(programs / "upstream") as url:
        seen = load(programs, url, "-count=20", "-connections=4", "-calls")
        streamed = load(programs, url, "-count=3", "-events=20", "-pause=1ms")
        truth = httpx.get(f"{url}/stats").json()
    assert (seen["requests"], seen["finished"], streamed["finished"]) == (20, 20, 3)
    assert sorted(call["number"] for call in seen["calls"]) == list(range(1, 21))
    assert truth == {"requests": 23, "finished": 23, "bytes": seen["bytes"] + streamed["bytes"]}
    assert streamed["pieces"] == 3 * 21
    assert streamed["latency"]["p50"] >= 0.019
    assert 0 < streamed["first"]["p50"] < streamed["latency"]["p50"]


def test_the_client_counts_replies_cut_short(programs: Path, answer: bytes) -> None:
    with answering(answer[:-1], len(answer)) as url:
        seen = load(programs, url, "-count=2")
    assert (seen["finished"], seen["truncated"], seen["wrong"], seen["failed"]) == (0, 2, 0, 0)


@pytest.mark.parametrize("change", [lambda right: right[:-1] + b"!", lambda right: right + b"!"])
def test_the_client_counts_replies_with_other_bytes(programs: Path, answer: bytes, change: Any) -> None:
    with answering(change(answer), len(change(answer))) as url:
        seen = load(programs, url, "-count=2")
    assert (seen["finished"], seen["truncated"], seen["wrong"], seen["failed"]) == (0, 0, 2, 0)


def test_the_client_counts_other_statuses(programs: Path, answer: bytes) -> None:
    with answering(answer, len(answer), "502 Bad Gateway") as url:
        seen = load(programs, url, "-count=2")
    assert (seen["finished"], seen["failed"], seen["errors"]) == (0, 2, {"status 502": 2})


def test_the_client_goes_nowhere_but_to_this_machine(programs: Path) -> None:
    command = [programs / "client", "-url=http://192.0.2.1/"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode
    assert "loopback" in refused.stderr


def test_the_collector_counts_a_report_that_comes_twice_once(programs: Path) -> None:
    lines = b'{"request_id":"a","request_body":"{\\"request_id\\":\\"b\\"} call-7-"}\n{"request_id":"c"}\n'
    with running(programs / "collector") as url:
        plain = httpx.post(f"{url}/ours/api/report", content=lines)
        zipped = httpx.post(
            f"{url}/ours/api/report", content=gzip.compress(lines), headers={"Content-Encoding": "gzip"}
        )
        stats = httpx.get(f"{url}/stats/ours?calls").json()
        other = httpx.get(f"{url}/stats/another").json()
    assert plain.json() == zipped.json() == {"status": "ok", "accepted": 2, "duplicates": 0, "rejected": []}
    assert (stats["lines"], stats["reports"], stats["calls"]) == (4, 2, [7])
    assert other["reports"] == 0


@pytest.mark.parametrize("folder", ["bench/load", "bench/noop"])
def test_the_sources_are_vetted_and_formatted(go: Callable[..., str], folder: str) -> None:
    go(folder, "vet", "./...")
    gofmt = Path(go(folder, "env", "GOROOT")) / "bin" / "gofmt"
    badly = subprocess.run([gofmt, "-l", "."], cwd=ROOT / folder, capture_output=True, check=True)
    assert badly.stdout == b""
