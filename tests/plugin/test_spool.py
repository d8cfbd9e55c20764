"""With a spool, reports outlive a collector that is away, and Traefik itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from llmtoken.report import Report
from support.collector import wait_for
from support.recorder import Answer, Recorder
from support.stage import SMALL, SetStage, Stage, request, theatre
from support.traefik import TraefikError

MEBIBYTE = 1024 * 1024


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def gone() -> Recorder:
    """A collector that has been there and may come back to its address."""
    with Recorder() as collector:
        pass
    return collector


@pytest.fixture
def set_another(tmp_path: Path) -> Iterator[SetStage]:
    """Traefik's next process, in a folder of its own."""
    folder = tmp_path / "another"
    folder.mkdir()
    with theatre(folder) as set_up:
        yield set_up


def ask(stage: Stage, *bodies: bytes) -> None:
    wire = stage.connect()
    for body in bodies:
        wire.send(request("POST", "/v1/chat/completions", f"Content-Length: {len(body)}") + body)
        assert wire.read_body(wire.read_head()) == SMALL
    wire.close()


def files(spool: Path) -> list[Path]:
    return sorted(spool.rglob("*.ndjson"))


def lines(spool: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in files(spool))


def back(collector: Recorder) -> Recorder:
    """The same address again."""
    return Recorder(port=urlsplit(collector.url).port or 0)


def bodies(reports: list[Report]) -> list[str]:
    return [report.request_body for report in reports]


def test_nothing_stays_in_the_spool_while_the_collector_is_there(set_stage: SetStage, spool: Path) -> None:
    stage = set_stage(spoolDir=str(spool))
    ask(stage, b"one", b"two")
    assert bodies(stage.collector.wait_for(2)) == ["one", "two"]
    wait_for(lambda: not files(spool))


def test_reports_wait_as_files_while_the_collector_is_away_and_come_oldest_first(
    set_stage: SetStage, spool: Path, gone: Recorder
) -> None:
    stage = set_stage(collector=gone, spoolDir=str(spool))
    for body in (b"one", b"two", b"three"):
        ask(stage, body)
        wait_for(lambda sent=body: any(sent in file.read_bytes() for file in files(spool)))
    assert len(files(spool)) == 3
    with back(gone) as collector:
        assert bodies(collector.wait_for(3)) == ["one", "two", "three"]
        wait_for(lambda: not files(spool))


def test_what_a_killed_traefik_has_spooled_is_delivered_by_the_next_process(
    set_stage: SetStage, set_another: SetStage, spool: Path, gone: Recorder
) -> None:
    stage = set_stage(collector=gone, spoolDir=str(spool))
    ask(stage, b"one", b"two")
    wait_for(lambda: lines(spool) == 2)
    stage.traefik.kill()
    with back(gone) as collector:
        set_another(collector=collector, spoolDir=str(spool))
        assert bodies(collector.wait_for(2)) == ["one", "two"]
        assert {report.source.sequence for report in collector.reports if report.source} == {1, 2}


def test_what_ends_with_sigterm_while_the_collector_is_away_is_spooled(
    set_stage: SetStage, spool: Path, gone: Recorder
) -> None:
    linger = {"entryPoints": {"traefik": {"transport": {"lifeCycle": {"requestAcceptGraceTimeout": "1s"}}}}}
    stage = set_stage(collector=gone, spoolDir=str(spool), static=linger, flushInterval="1m")
    ask(stage, *[b"%d" % number for number in range(20)])
    assert not files(spool)
    assert stage.traefik.terminate() == 0
    assert lines(spool) == 20


def test_a_damaged_file_is_passed_over_and_its_reports_are_counted(
    set_stage: SetStage, set_another: SetStage, spool: Path, gone: Recorder
) -> None:
    stage = set_stage(collector=gone, spoolDir=str(spool))
    ask(stage, b"one", b"two")
    wait_for(lambda: lines(spool) == 2)
    ask(stage, b"three")
    wait_for(lambda: lines(spool) == 3)
    stage.traefik.kill()
    damaged = files(spool)[0]
    count = damaged.read_bytes().count(b"\n")
    damaged.write_bytes(damaged.read_bytes()[:100])
    (damaged.parent / "12-half.draft").write_bytes(b"{")
    (damaged.parent / "notes.ndjson").write_bytes(b"no report\n")

    with back(gone) as collector:
        another = set_another(collector=collector, spoolDir=str(spool))
        assert bodies(collector.wait_for(3 - count))[-1] == "three"
        ask(another, b"four")
        (last,) = [report for report in collector.wait_for(4 - count) if report.request_body == "four"]
        assert last.source is not None
        assert (last.source.failed, last.source.failed_by) == (count, {"spool_damaged": count})
        wait_for(lambda: not files(spool))


def test_a_full_spool_leaves_reports_in_memory_until_there_is_room(
    set_stage: SetStage, spool: Path, gone: Recorder
) -> None:
    stage = set_stage(collector=gone, spoolDir=str(spool), batchBytes=MEBIBYTE, spoolBytes=2 * MEBIBYTE)
    ask(stage, *[b"%d" % number + b"x" * 500_000 for number in range(8)])
    stage.traefik.wait_for_log("the spool takes no more")
    assert sum(file.stat().st_size for file in files(spool)) <= 2 * MEBIBYTE
    with back(gone) as collector:
        assert sorted(body[0] for body in bodies(collector.wait_for(8))) == [str(number) for number in range(8)]


def test_only_its_owner_may_read_the_spool(set_stage: SetStage, spool: Path, gone: Recorder) -> None:
    stage = set_stage(collector=gone, spoolDir=str(spool))
    ask(stage, b"secret")
    (file,) = wait_for(lambda: files(spool))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_collectors_do_not_get_each_others_spool(
    set_stage: SetStage, set_another: SetStage, spool: Path, gone: Recorder
) -> None:
    stage = set_stage(collector=gone, spoolDir=str(spool))
    ask(stage, b"for the first")
    wait_for(lambda: lines(spool) == 1)
    stage.traefik.kill()
    other = set_another(spoolDir=str(spool))
    ask(other, b"for the second")
    assert bodies(other.collector.wait_for(1)) == ["for the second"]
    wait_for(lambda: len(files(spool)) == 1)
    assert b"for the first" in files(spool)[0].read_bytes()


def test_a_spool_that_cannot_be_written_is_refused_when_the_route_is_built(set_stage: SetStage, tmp_path: Path) -> None:
    with pytest.raises(TraefikError, match="spoolDir must be a folder that Traefik may write to"):
        set_stage(spoolDir=str(tmp_path / "nowhere"))


def test_traffic_does_not_notice_a_disk_that_is_gone(set_stage: SetStage, spool: Path) -> None:
    stage = set_stage(spoolDir=str(spool))
    ask(stage, b"one")
    stage.collector.wait_for(1)
    wait_for(lambda: not files(spool))
    for folder in spool.iterdir():
        folder.rmdir()
    spool.rmdir()
    spool.write_bytes(b"a file where the folder was")
    ask(stage, b"two")
    assert bodies(stage.collector.wait_for(2)) == ["one", "two"]


# ── Other ways of sending ───────────────────────────────────────────────────────────────


def test_batches_are_compressed_if_so_configured(set_stage: SetStage) -> None:
    stage = set_stage(gzip=True)
    ask(stage, b"x" * 10_000)
    (report,) = stage.collector.wait_for(1)
    assert report.request_body == "x" * 10_000
    (batch,) = stage.collector.batches
    assert batch.headers["content-encoding"] == "gzip"
    assert len(batch.body) < 2000


def test_losses_are_told_even_when_no_report_follows(set_stage: SetStage) -> None:
    answers = [Answer(422)]
    with Recorder(lambda _batch: answers.pop() if answers else Answer()) as collector:
        stage = set_stage(collector=collector)
        ask(stage, b"refused")
        first, second = collector.wait_for_batches(2)
        assert '"failed":0' in first.headers["llmtoken-source"]
        assert (second.body, '"failed_by":{"refused":1}' in second.headers["llmtoken-source"]) == (b"", True)


def test_a_batch_says_how_many_exchanges_have_ended(set_stage: SetStage) -> None:
    stage = set_stage()
    ask(stage, b"one")
    stage.collector.wait_for(1)
    assert '"sequence":1,' in stage.collector.batches[0].headers["llmtoken-source"]
