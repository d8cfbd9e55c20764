"""What happens between a payload and its answer: order, groups, bounds, failure."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from llmtoken import audit, config
from llmtoken.audit import Audit
from llmtoken.call import Call, Record
from llmtoken.errors import NotJSON, QueueFull, StorageUnavailable
from llmtoken.ledger import Told
from llmtoken.metrics import Metrics
from llmtoken.payload import Content
from llmtoken.pipeline import Outcome, Pipeline, line
from llmtoken.reading import Reading
from llmtoken.report import Rejected, Report, Source
from llmtoken.totals import Labeller
from support.collector import sum_samples, wait_for
from support.records import new


def report(request_id: str) -> Report:
    return Report(request_body="{}", response_body="{}", elapsed_time=1.0, request_id=request_id)


def content(*request_ids: str, size: int = 100) -> Content:
    return Content([report(request_id) for request_id in request_ids], [], size)


class Bench:
    """A running pipeline on a real database, with a gate in front of the commit."""

    def __init__(self, store: Audit, metrics: Metrics, pipeline: Pipeline) -> None:
        self.store, self.metrics, self.pipeline = store, metrics, pipeline
        self.groups: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    async def submit(self, *request_ids: str, size: int = 100) -> Outcome:
        return await self.pipeline.submit(lambda: content(*request_ids, size=size), size)

    def sum(self, name: str) -> float:
        return sum_samples(self.metrics.exposition(None)[0].decode(), name)

    def counted(self) -> float:
        return self.sum("llmtoken_requests_total")


@contextmanager
def running(database: str, monkeypatch: pytest.MonkeyPatch, **settings: int) -> Iterator[Bench]:
    store = audit.open(database)
    metrics = Metrics(max_models=10, max_consumers=10, instance=store.instance)
    bench = Bench(store, metrics, Pipeline(config.load(None, **settings), store, metrics))
    write = store.write

    def gated(records: Sequence[Record], labels: Labeller, told: Sequence[Told]) -> list[Call | None]:
        bench.groups.append(len(records))
        bench.entered.set()
        assert bench.gate.wait(30)
        return write(records, labels, told)

    monkeypatch.setattr(store, "write", gated)
    bench.pipeline.start()
    try:
        yield bench
    finally:
        bench.gate.set()
        bench.pipeline.stop()
        metrics.close()
        store.close()


def test_the_answer_comes_after_the_commit(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        bench.gate.clear()
        answer = asyncio.create_task(bench.submit("a"))
        await asyncio.to_thread(bench.entered.wait, 30)
        assert not answer.done()
        assert bench.store.count() == 0
        bench.gate.set()
        assert new((await answer).stored) == [True]
        assert bench.store.count() == 1

    with running(database, monkeypatch) as bench:
        asyncio.run(scenario(bench))


def test_metrics_move_before_the_answer_so_that_who_is_answered_can_look(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database, monkeypatch) as bench:
        asyncio.run(bench.submit("a"))
        assert bench.counted() == 1


async def gather_during_a_commit(bench: Bench) -> None:
    """Twenty payloads are read and wait while the commit of a first one is held up."""
    bench.gate.clear()
    first = asyncio.create_task(bench.submit("first"))
    await asyncio.to_thread(bench.entered.wait, 30)
    others = [asyncio.create_task(bench.submit(f"other-{n}")) for n in range(20)]
    await asyncio.to_thread(wait_for, lambda: bench.pipeline._to_write.qsize() == 20)
    bench.gate.set()
    await asyncio.gather(first, *others)


def test_what_gathers_during_a_commit_is_committed_together(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(database, monkeypatch) as bench:
        asyncio.run(gather_during_a_commit(bench))
        assert bench.groups == [1, 20]


def test_reports_that_come_close_together_wait_for_each_other(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        await gather_during_a_commit(bench)
        one = asyncio.create_task(bench.submit("one"))
        await asyncio.to_thread(
            wait_for, lambda: bench.pipeline.waiting_reports and not bench.pipeline._to_read.qsize()
        )
        await asyncio.gather(one, *(bench.submit(f"more-{n}") for n in range(4)))

    monkeypatch.setattr(line, "_PACE", 2.0)
    with running(database, monkeypatch) as bench:
        asyncio.run(scenario(bench))
        assert bench.groups == [1, 20, 5]


def test_who_comes_alone_waits_for_nobody(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        for number in range(5):
            await asyncio.wait_for(bench.submit(f"r{number}"), 60)

    monkeypatch.setattr(line, "_PACE", 3600.0)
    with running(database, monkeypatch) as bench:
        asyncio.run(scenario(bench))
        assert bench.groups == [1] * 5


def test_a_group_that_is_worth_a_commit_waits_for_nobody(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        await gather_during_a_commit(bench)
        await asyncio.wait_for(bench.submit(*(f"r{number}" for number in range(16))), 60)

    monkeypatch.setattr(line, "_PACE", 3600.0)
    with running(database, monkeypatch) as bench:
        asyncio.run(scenario(bench))
        assert bench.groups == [1, 20, 16]


def test_a_group_stays_within_the_size_of_a_transaction(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(database, monkeypatch, commit_reports=8) as bench:
        asyncio.run(gather_during_a_commit(bench))
        assert bench.groups == [1, 8, 8, 4]


def test_each_payload_hears_of_its_own_reports(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> list[Outcome]:
        await bench.submit("b")
        return await asyncio.gather(bench.submit("a", "b"), bench.submit("c", "c"))

    with running(database, monkeypatch) as bench:
        first, second = asyncio.run(scenario(bench))
    assert [reading.record.call.request_id for reading in first.readings] == ["a", "b"]
    assert (new(first.stored), new(second.stored)) == ([True, False], [True, False])


def test_a_full_queue_refuses_at_once_and_takes_again_when_there_is_room(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(bench: Bench) -> None:
        bench.gate.clear()
        waiting = asyncio.create_task(bench.submit("a", "b"))
        await asyncio.to_thread(bench.entered.wait, 30)
        with pytest.raises(QueueFull):
            await bench.submit("c")
        bench.gate.set()
        await waiting
        assert new((await bench.submit("c")).stored) == [True]

    with running(database, monkeypatch, queue_reports=2) as bench:
        asyncio.run(scenario(bench))
        assert bench.sum("llmtoken_queue_refusals_total") == 1


def test_the_queue_is_bounded_in_bytes_as_well_and_weighs_what_is_unpacked(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(bench: Bench) -> None:
        bench.gate.clear()
        waiting = asyncio.create_task(bench.pipeline.submit(lambda: content("a", size=2000), 10))
        await asyncio.to_thread(bench.entered.wait, 30)
        with pytest.raises(QueueFull):
            await bench.submit("b")
        bench.gate.set()
        await waiting

    with running(database, monkeypatch, queue_bytes=1024) as bench:
        asyncio.run(scenario(bench))


def test_a_failed_commit_answers_everybody_in_it_and_the_next_succeeds(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(bench: Bench) -> None:
        def refuse(*_: object) -> None:
            raise StorageUnavailable("The disk is full", hint="make room")

        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "write", refuse)
            with pytest.raises(StorageUnavailable):
                await bench.submit("a")
        assert bench.store.count() == 0
        assert bench.sum("llmtoken_commit_failures_total") == 1
        assert new((await bench.submit("a")).stored) == [True]
        assert bench.sum("llmtoken_commit_failures_total") == 1

    with running(database, monkeypatch) as bench:
        asyncio.run(scenario(bench))


def test_a_payload_that_cannot_be_parsed_raises_and_frees_its_place(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Content:
        raise NotJSON("no", hint="yes")

    async def scenario(bench: Bench) -> None:
        with pytest.raises(NotJSON):
            await bench.pipeline.submit(broken, 100)
        assert not bench.pipeline.full

    with running(database, monkeypatch, queue_reports=1) as bench:
        asyncio.run(scenario(bench))


def test_what_plugins_tell_counts_when_their_reports_are_committed_and_once(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Content([report("a")], [], 100, ledger=Source(boot="b", sequence=1, dropped=3))

    async def scenario(bench: Bench) -> None:
        bench.gate.clear()
        answer = asyncio.create_task(bench.pipeline.submit(lambda: told, 100))
        await asyncio.to_thread(bench.entered.wait, 30)
        assert bench.sum("llmtoken_plugin_dropped_total") == 0
        bench.gate.set()
        assert (await answer).told
        assert (await bench.pipeline.submit(lambda: told, 100)).told
        assert bench.sum("llmtoken_plugin_dropped_total") == 3

    with running(database, monkeypatch) as bench:
        asyncio.run(scenario(bench))


def test_a_payload_with_nothing_but_refused_lines_needs_no_commit(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [Rejected(0, "not JSON")]
    with running(database, monkeypatch) as bench:
        outcome = asyncio.run(bench.pipeline.submit(lambda: Content([], refused, 4), 4))
        assert (outcome.readings, outcome.rejected, bench.groups) == ([], refused, [])


def test_stopping_finishes_what_was_accepted(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        bench.gate.clear()
        answers = [asyncio.create_task(bench.submit(f"call-{n}")) for n in range(10)]
        await asyncio.to_thread(bench.entered.wait, 30)
        stopping = asyncio.create_task(asyncio.to_thread(bench.pipeline.stop))
        await asyncio.to_thread(wait_for, lambda: bench.pipeline.full)
        with pytest.raises(QueueFull, match="stopping"):
            await bench.submit("late")
        bench.gate.set()
        await stopping
        assert all(new(outcome.stored) == [True] for outcome in await asyncio.gather(*answers))

    with running(database, monkeypatch) as bench:
        asyncio.run(scenario(bench))
        assert bench.store.count() == 10


# ── What it learns about counting ───────────────────────────────────────────────────────


def chat(request_id: str, *, reported: int | None, words: int = 0) -> Report:
    """A chat of which we count 10 tokens in, one more for each word, and 2 out."""
    usage = {} if reported is None else {"usage": {"prompt_tokens": reported, "completion_tokens": 2}}
    said = {"role": "assistant", "content": "Hello!"}
    reply = {"model": "m", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}], **usage}
    return Report(
        request_body=json.dumps(
            {"model": "m", "messages": [{"role": "user", "content": "Say hello." + " word" * words}]}
        ),
        response_body=json.dumps(reply),
        elapsed_time=1.0,
        request_id=request_id,
        method="POST",
        path="/v1/chat/completions",
        status=200,
    )


def submit(bench: Bench, *reports: Report) -> list[Reading]:
    return list(asyncio.run(bench.pipeline.submit(lambda: Content(list(reports), [], 1000), 1000)).readings)


def test_what_is_reported_corrects_what_is_estimated_also_after_a_restart(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database, monkeypatch) as bench:
        (before,) = submit(bench, chat("before", reported=None))
        submit(bench, *(chat(f"told-{n}", reported=210 + n, words=n) for n in range(5)))
        (after,) = submit(bench, chat("after", reported=None))
    with running(database, monkeypatch) as bench:
        (later,) = submit(bench, chat("later", reported=None))
    calls = [reading.record.call for reading in (before, after, later)]
    assert [(call.input_tokens, call.output_tokens) for call in calls] == [(10, 2), (210, 2), (210, 2)]
    assert {call.usage_source for call in calls} == {"estimated"}


def test_how_far_estimates_are_off_is_seen_on_the_metrics(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(database, monkeypatch) as bench:
        submit(bench, chat("told", reported=20))
        shown = bench.metrics.exposition(None)[0].decode()
    ratio = {"name": "llmtoken_estimate_ratio_sum", "gen_ai_request_model": "m"}
    assert sum_samples(shown, gen_ai_token_type="input", **ratio) == 0.5
    assert sum_samples(shown, gen_ai_token_type="output", **ratio) == 1


def test_a_call_that_comes_twice_teaches_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(database, monkeypatch) as bench:
        for _ in range(3):
            submit(bench, chat("told", reported=20), chat("told", reported=20))
        shown = bench.metrics.exposition(None)[0].decode()
        assert sum_samples(shown, "llmtoken_estimate_ratio_count", gen_ai_token_type="input") == 1
    with audit.open(database) as store:
        assert {pairs for *_, side, pairs in store.lessons() if side == "input"} == {((10, 20),)}


def test_lessons_that_cannot_be_kept_now_hold_nobody_up_and_are_kept_later(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: object) -> None:
        raise StorageUnavailable("The disk is full", hint="make room")

    with running(database, monkeypatch) as bench:
        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "keep", refuse)
            submit(bench, *(chat(f"told-{n}", reported=20, words=n) for n in range(20)))
            wait_for(lambda: "kept later" in caplog.text)
        assert bench.store.lessons() == []
        submit(bench, chat("one more", reported=21))
        wait_for(lambda: len(bench.store.lessons()) == 2)


# ── The start ───────────────────────────────────────────────────────────────────────────


def test_tables_are_loaded_at_the_start_while_another_worker_reads(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, go_on = threading.Event(), threading.Event()

    def warm_up(_: object) -> None:
        loading.set()
        assert go_on.wait(30)

    monkeypatch.setattr(line, "warm_up", warm_up)
    with running(database, monkeypatch, workers=2) as bench:
        try:
            assert loading.wait(30)
            assert new(asyncio.run(bench.submit("a")).stored) == [True]
        finally:
            go_on.set()


def test_loading_tables_counts_as_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(database, monkeypatch, workers=1) as bench:
        asyncio.run(bench.submit("a"))  # by the only worker, so after it has loaded them
        assert bench.counted() == 1
        assert bench.store.count() == 1
