"""A thousand slow streams at once: every byte arrives, every call is reported, and it takes no longer than without."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import uvloop

from support.needs import open_files
from support.paced import paced_upstream
from support.stage import SetStage, Stage, theatre

STREAMS = 1000
CHUNKS = 10
PLAIN_BREAKS = STREAMS // 10
"""Plain Traefik cuts some short (docs/adr/plugin-data-path.md); the tapped route must not."""
PAUSE = 0.2
"""Long enough that two cores have time to spare. The better of two rounds counts, as others use the machine too."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    open_files(8 * STREAMS)
    with (
        paced_upstream(CHUNKS, PAUSE) as url,
        theatre(tmp_path_factory.mktemp("traefik")) as set_stage,
    ):
        yield on(set_stage, url)


def on(set_stage: SetStage, url: str) -> Stage:
    services = {"upstream": {"loadBalancer": {"servers": [{"url": url}]}}}
    return set_stage(dynamic={"http": {"services": services}}, batchSize=1000)


async def stream(host: str, port: int, mark: str) -> tuple[bytes, list[float]]:
    """The body of one stream, its chunks put together, and when each came."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"POST /{mark} HTTP/1.1\r\nHost: m\r\nContent-Length: 4\r\n\r\nping".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        body, times = b"", []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
            times.append(time.monotonic())
        await reader.readexactly(2)
        return body, times
    finally:
        writer.close()


def crowd(url: str, name: str, may_break: int = 0) -> tuple[float, list[float]]:
    """All streams at once; how long it took, and the gaps between chunks."""
    parts = urlsplit(url)
    broken: list[BaseException] = []

    async def everybody() -> list[tuple[bytes, list[float]] | BaseException]:
        streams = (stream(str(parts.hostname), int(parts.port or 0), f"{name}-{number}") for number in range(STREAMS))
        return await asyncio.gather(*streams, return_exceptions=True)

    began = time.monotonic()
    outcomes = uvloop.run(everybody())
    took = time.monotonic() - began
    gaps: list[float] = []
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, BaseException):
            broken.append(outcome)
            continue
        body, times = outcome
        assert body == b"".join(b"data: /%b-%d %d\n\n" % (name.encode(), number, chunk) for chunk in range(CHUNKS))
        gaps += [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(broken) <= may_break, broken
    return took, sorted(gaps)


@pytest.mark.alone
def test_a_thousand_slow_streams(stage: Stage) -> None:
    crowd(stage.traefik.plain_url, "warm-up", PLAIN_BREAKS)
    rounds = [
        (crowd(stage.traefik.plain_url, "plain", PLAIN_BREAKS), crowd(stage.traefik.url, f"tapped-{number}"))
        for number in range(2)
    ]

    paths = {report.path: report for report in stage.collector.wait_for(2 * STREAMS)}
    assert paths.keys() == {f"/tapped-{number}-{stream}" for number in range(2) for stream in range(STREAMS)}
    for path, report in paths.items():
        assert (report.status, report.aborted, report.request_body) == (200, "", "ping")
        assert report.response_body == "".join(f"data: {path} {chunk}\n\n" for chunk in range(CHUNKS))
    # Most of the time is the pauses; what is held back until the end would show in the gaps.
    plain, tapped = (min(took for took, _ in of_route) for of_route in zip(*rounds, strict=True))
    assert tapped < 2 * plain
    plain_gap, tapped_gap = (
        min(gaps[len(gaps) // 2] for _, gaps in of_route) for of_route in zip(*rounds, strict=True)
    )
    assert tapped_gap == pytest.approx(plain_gap, rel=0.5)
