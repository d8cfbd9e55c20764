"""The collector is killed in the middle of traffic and started again: the traffic doesn't notice, nothing is lost.

Counters are kept with the rows, so those go on as well.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from e2e import sdk
from e2e.sdk import KINDS, Seen
from e2e.world import World, assembled, eventually, new_mark
from llmtoken import audit
from support.collector import sum_samples, wait_for
from support.model_server import ModelServer

CLIENTS = 3


@dataclass
class Story:
    """What happened: all calls by their mark."""

    world: World
    calls: dict[str, Seen] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, llama: ModelServer) -> Iterator[Story]:
    """Clients that call all the time; the collector dies among them, stays away for a while and comes back."""
    with assembled(tmp_path_factory.mktemp("restart"), llama, flushInterval="20ms") as world:
        story = Story(world)
        enough = threading.Event()

        def client(number: int) -> None:
            kinds = KINDS[number:] + KINDS[:number]
            while not enough.is_set():
                for kind in kinds:
                    mark = new_mark()
                    story.calls[mark] = sdk.make(kind, world.traefik.url, mark)

        def more(calls: int) -> None:
            target = len(story.calls) + calls
            wait_for(lambda: len(story.calls) >= target)

        with ThreadPoolExecutor(CLIENTS) as clients:
            running = [clients.submit(client, number) for number in range(CLIENTS)]
            try:
                wait_for(lambda: world.audit.sums().calls >= 20)
                world.collector.kill()
                more(20)
                world.collector.start()
                more(20)
            finally:
                enough.set()
            for ended in running:
                ended.result()
        yield story


def test_no_client_notices_that_the_collector_is_away(story: Story) -> None:
    assert len(story.calls) >= 60
    assert all(seen.text or seen.input for seen in story.calls.values())


def test_every_call_has_its_row_exactly_once_in_the_end(story: Story) -> None:
    audit = story.world.audit
    assert eventually(lambda: audit.sums().calls, len(story.calls), seconds=60) == len(story.calls)
    bodies = [row["request_body"] for row in audit.query("SELECT request_body FROM bodies")]
    found = Counter(mark for mark in story.calls for body in bodies if mark in body)
    assert found == Counter(story.calls.keys())


def test_the_plugin_gave_nothing_up(story: Story) -> None:
    metrics = httpx.get(f"{story.world.collector.url}/metrics").text
    assert sum_samples(metrics, "llmtoken_plugin_dropped_total") == 0
    assert sum_samples(metrics, "llmtoken_plugin_failed_total") == 0


def test_counters_go_on_where_they_stood(story: Story) -> None:
    world = story.world
    wait_for(lambda: world.audit.sums().calls == len(story.calls), seconds=60)
    everything = world.audit.sums()
    assert eventually(world.in_prometheus, everything) == everything


def test_the_books_balance(story: Story) -> None:
    with audit.open_read_only(str(story.world.collector.database)) as reader:
        balance = reader.verify()
    assert balance.balanced
    assert balance.calls >= len(story.calls)


def test_a_collector_that_is_asked_to_stop_keeps_what_it_was_given(story: Story) -> None:
    world = story.world
    marks = [new_mark() for _ in range(20)]
    report = {"request_body": "", "response_body": "", "elapsed_time": 1}
    for mark in marks:
        answer = httpx.post(f"{world.collector.url}/api/report", json={**report, "request_body": mark})
        assert answer.json()["status"] == "ok"
    world.collector.terminate()
    assert all(len(world.audit.marked(mark)) == 1 for mark in marks)
