"""Real collectors are killed under load, again and again: the books balance after every end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from llmtoken import audit
from support.collector import wait_for
from support.databases import ENGINES, sql
from support.forked import Forked, nursery
from support.load import Load, load

KILLS = {"sqlite": 50, "postgresql": 25}
CUTS = {"sqlite": 8, "postgresql": 0}

SUMS = {
    "llmtoken_requests_total": "count(*)",
    "llmtoken_reports_total": "count(*)",
    "llmtoken_commit_rows_total": "count(*)",
    "gen_ai_client_inference_usage_input_tokens_total": "sum(input_tokens)",
    "gen_ai_client_inference_usage_output_tokens_total": "sum(output_tokens)",
    "llmtoken_unpriced_requests_total": "count(CASE WHEN cost IS NULL AND (input_tokens > 0 OR output_tokens > 0)"
    " THEN 1 END)",
}


def stored(database: Path | str) -> set[object]:
    return {row[0] for row in sql(database, "SELECT request_id FROM calls")}


def in_rows(database: Path | str) -> dict[str, float]:
    """What the counters must say, summed up from the rows with nothing but SQL and decimals."""
    (row,) = sql(database, f"SELECT {', '.join(SUMS.values())} FROM calls")  # noqa: S608
    costs = sql(database, "SELECT cost FROM calls WHERE cost IS NOT NULL")
    sums = dict(zip(SUMS, (float(each or 0) for each in row), strict=True))
    return sums | {"llmtoken_cost_usd_total": float(sum(Decimal(str(cost)) for (cost,) in costs))}


def on_metrics(collector: Forked) -> dict[str, float]:
    sums = dict.fromkeys((*SUMS, "llmtoken_cost_usd_total"), 0.0)
    # By hand, because a parser takes most of the test's time; tests/metrics parse the text with two.
    for line in collector.client.get("/metrics").text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in sums and 'outcome="duplicate"' not in line and 'outcome="rejected"' not in line:
            sums[name] += float(line.rpartition(" ")[2])
    return sums


def both(collector: Forked) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics and rows of the same moment: a batch that waited in the socket may still be committed meanwhile."""
    while True:
        before, shown = in_rows(collector.database), on_metrics(collector)
        if in_rows(collector.database) == before:
            return shown, before


@dataclass
class Story:
    """What was seen at each of the ends, and everything at the last one."""

    load: Load
    engine: str
    database: Path | str
    lost: list[set[object]] = field(default_factory=list)
    shown: list[tuple[dict[str, float], dict[str, float]]] = field(default_factory=list)
    unbalanced: list[float] = field(default_factory=list)
    copies: list[tuple[Path, set[str]]] = field(default_factory=list)


@pytest.fixture(scope="module", params=ENGINES)
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder, engine = tmp_path_factory.mktemp("killed"), request.param
    chance = random.Random()  # noqa: S311
    database = {} if engine == "sqlite" else {"database": request.getfixturevalue("server").create()}
    with nursery(folder / "data", seals=True, **database) as forked:
        forked.start()
        with load(forked.url) as sending:
            story = Story(sending, engine, forked.database)
            for cut in range(CUTS[engine]):
                sending.more(chance.randrange(1, 60))
                story.copies.append(copied(forked, sending, folder / f"cut-{cut}.db"))
            for _ in range(KILLS[engine]):
                sending.more(chance.randrange(1, 40))
                time.sleep(chance.random() * 0.02)  # anywhere in the life of a batch, not only after an answer
                forked.kill()
                sending.busy.clear()
                story.lost.append(set(sending.acknowledged) - stored(forked.database))
                forked.start()
                story.shown.append(both(forked))
                sending.busy.set()
        story.shown.append(both(forked))
        forked.terminate()
        yield story


def copied(forked: Forked, sending: Load, copy: Path) -> tuple[Path, set[str]]:
    """The files as they stand at this moment, as a power cut leaves them, and what was acknowledged by then."""
    forked.signal(signal.SIGSTOP)
    assert forked.pid
    wait_for(lambda: Path(f"/proc/{forked.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    acknowledged = set(sending.acknowledged)
    for suffix in ("", "-wal"):
        if os.path.exists(f"{forked.database}{suffix}"):  # noqa: PTH110
            shutil.copy(f"{forked.database}{suffix}", f"{copy}{suffix}")
    forked.signal(signal.SIGCONT)
    return copy, acknowledged


def test_the_kills_fell_among_batches_under_way(story: Story) -> None:
    assert len(story.lost) == KILLS[story.engine]
    assert story.load.broken >= KILLS[story.engine] // 2


def test_every_acknowledged_report_has_its_row_after_every_kill(story: Story) -> None:
    assert [lost for lost in story.lost if lost] == []


def test_in_the_end_every_report_has_one_row(story: Story) -> None:
    assert story.load.acknowledged == story.load.sent
    rows = Counter(row[0] for row in sql(story.database, "SELECT request_id FROM calls"))
    assert rows == Counter(story.load.sent)


def test_after_every_restart_metrics_show_what_the_rows_add_up_to(story: Story) -> None:
    for shown, rows in story.shown:
        assert shown == pytest.approx(rows, rel=1e-12)


def test_no_counter_ever_went_backwards(story: Story) -> None:
    for (before, _), (after, _) in zip(story.shown, story.shown[1:], strict=False):
        assert all(after[name] >= before[name] for name in before)


def test_counters_and_rows_agree_series_by_series(story: Story) -> None:
    with audit.open_read_only(str(story.database)) as reader:
        balance = reader.verify()
    assert balance.balanced
    assert balance.calls == len(story.load.sent)
    assert balance.series > 10


def test_every_call_is_as_it_was_sealed(story: Story) -> None:
    with audit.open_read_only(str(story.database)) as reader:
        proof = reader.verify_seals()
    assert (proof.findings, proof.calls, proof.gaps) == ((), len(story.load.sent), ())


def test_the_file_is_sound_after_all(story: Story) -> None:
    if story.engine == "sqlite":
        assert sql(story.database, "PRAGMA integrity_check") == [("ok",)]
        assert sql(story.database, "PRAGMA foreign_key_check") == []


def test_a_power_cut_at_any_moment_keeps_rows_and_counters(story: Story) -> None:
    assert len(story.copies) == CUTS[story.engine]
    for copy, acknowledged in story.copies:
        with audit.open(str(copy), seals=True) as store:
            assert acknowledged <= stored(copy)
            assert store.verify().balanced
            assert store.verify_seals().whole
            assert sum(sums.calls for sums in store.counters.values()) == store.count()
