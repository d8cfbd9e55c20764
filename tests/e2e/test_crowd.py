"""Two hundred calls of every kind at once: each is accounted for exactly once, to the token."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from e2e.world import Sums, World, eventually, new_mark

CALLS = 200
SHORT = {"temperature": 0, "max_tokens": 6}


def chat(mark: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", {**SHORT, "messages": [{"role": "user", "content": mark}], **more}


def kinds(mark: str) -> list[tuple[str, dict[str, Any]]]:
    """One request of each kind: path and body."""
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    return [
        chat(mark),
        chat(mark, stream=True),
        chat(mark, **usage),
        ("/v1/completions", {**SHORT, "prompt": mark}),
        ("/v1/completions", {**SHORT, "prompt": mark, "stream": True}),
        ("/v1/embeddings", {"input": mark}),
        ("/v1/responses", {"input": mark, "max_output_tokens": 6, "stream": True}),
        ("/v1/messages", {**SHORT, "messages": [{"role": "user", "content": mark}]}),
        ("/v1/messages", {**SHORT, "messages": [{"role": "user", "content": mark}], "stream": True}),
        ("/v1/responses", {"input": 5, "user": mark}),
    ]


@dataclass(frozen=True)
class Crowd:
    """The calls by mark with the status that the client got, and by how much each book grew."""

    status: dict[str, int]
    llama: Sums
    sqlite: Sums
    prometheus: Sums


@pytest.fixture(scope="module")
def crowd(world: World) -> Crowd:
    before = world.settled()
    llama = world.in_llama(0)

    async def call(client: httpx.AsyncClient, number: int) -> tuple[str, int]:
        mark = new_mark()
        path, body = kinds(mark)[number % len(kinds(mark))]
        return mark, (await client.post(path, json=body)).status_code

    async def all_at_once() -> list[tuple[str, int]]:
        limits = httpx.Limits(max_connections=CALLS)
        async with httpx.AsyncClient(base_url=world.traefik.url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(call(client, number) for number in range(CALLS)))

    status = dict(asyncio.run(all_at_once()))
    calls = before.calls + CALLS
    assert eventually(lambda: world.audit.sums().calls, calls) == calls
    sqlite = world.audit.sums()
    prometheus = eventually(world.in_prometheus, sqlite) - before
    return Crowd(status, world.in_llama(CALLS) - llama, sqlite - before, prometheus)


def test_every_client_is_answered(crowd: Crowd) -> None:
    assert Counter(crowd.status.values()) == {200: CALLS * 9 // 10, 400: CALLS // 10}


def test_every_call_has_exactly_one_row_with_the_status_that_its_client_got(world: World, crowd: Crowd) -> None:
    rows = {mark: world.audit.row(mark) for mark in crowd.status}
    assert {mark: row["http_status"] for mark, row in rows.items()} == crowd.status


def test_the_model_server_sqlite_and_prometheus_have_the_same_sums(crowd: Crowd) -> None:
    assert crowd.sqlite == crowd.llama
    assert crowd.prometheus == crowd.llama
