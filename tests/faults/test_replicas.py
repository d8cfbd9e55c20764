"""Three real collectors on one PostgreSQL database behind a round robin, killed one after the other under load."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from llmtoken import audit
from support import postgresql, prometheus
from support.collector import sum_samples, wait_for
from support.databases import sql
from support.forked import Forked, nursery
from support.load import Load, load
from support.prometheus import Prometheus

KILLS = 24
REPLICAS = 3

SUMS = {
    "llmtoken_requests_total": "count(*)",
    "gen_ai_client_inference_usage_input_tokens_total": "sum(input_tokens)",
    "gen_ai_client_inference_usage_output_tokens_total": "sum(output_tokens)",
    "llmtoken_cost_usd_total": "sum(cost)",
}


@dataclass
class Story:
    """What was seen after each kill, and everything at the end."""

    database: str
    load: Load
    prometheus: Prometheus
    replicas: list[Forked]
    lost: list[set[str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def story(server: postgresql.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder, database, chance = tmp_path_factory.mktemp("replicas"), server.create(), random.Random()  # noqa: S311
    with ExitStack() as stack:
        replicas = [
            stack.enter_context(nursery(folder / f"c{number}", database=database, instance=f"c{number}"))
            for number in range(REPLICAS)
        ]
        for replica in replicas:
            replica.start()
        scraped = stack.enter_context(prometheus.running(folder / "prometheus", *(each.url for each in replicas)))
        with load(*(replica.url for replica in replicas), senders=4) as sending:
            story = Story(database, sending, scraped, replicas)
            for _ in range(KILLS):
                sending.more(chance.randrange(1, 60))
                time.sleep(chance.random() * 0.02)  # anywhere in the life of a batch
                replica = chance.choice(replicas)
                replica.kill()
                acknowledged = set(sending.acknowledged)
                story.lost.append(acknowledged - {row[0] for row in sql(database, "SELECT request_id FROM calls")})
                replica.start()
        yield story


def in_rows(story: Story) -> dict[str, float]:
    (row,) = sql(story.database, f"SELECT {', '.join(SUMS.values())} FROM calls")  # noqa: S608
    return dict(zip(SUMS, map(float, row), strict=True))


def test_every_acknowledged_report_has_its_row_after_every_kill(story: Story) -> None:
    assert story.lost == [set()] * KILLS


def test_every_report_has_one_row_although_many_were_sent_to_more_than_one(story: Story) -> None:
    assert story.load.broken > 0
    assert story.load.acknowledged == story.load.sent
    rows = Counter(row[0] for row in sql(story.database, "SELECT request_id FROM calls"))
    assert rows == Counter(story.load.sent)


def test_each_has_a_share_of_the_counters_and_together_they_are_the_sums_of_the_rows(story: Story) -> None:
    exposed = [replica.client.get("/metrics").text for replica in story.replicas]
    for name, expected in in_rows(story).items():
        shares = [sum_samples(text, name) for text in exposed]
        assert sum(shares) == pytest.approx(expected, rel=1e-12), name
        assert all(shares), name
    with audit.open_read_only(story.database) as reader:
        balance = reader.verify()
    assert (balance.differences, balance.instances) == ((), REPLICAS)


def test_prometheus_adds_the_replicas_up(story: Story) -> None:
    expected = in_rows(story)
    for name, total in expected.items():
        wait_for(lambda name=name, total=total: story.prometheus.total(name) == pytest.approx(total, rel=1e-9))
