"""Through a real collector: a reply that is polled or fetched again is counted once, in audit and metrics alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.collector import Collector, running, sum_samples
from support.databases import sql
from support.exchanges import ndjson, written

OPENAI = {"input_tokens": 70, "output_tokens": 30, "total_tokens": 100}
CHAT = {"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 100}
GEMINI = {"promptTokenCount": 70, "candidatesTokenCount": 30, "totalTokenCount": 100}
INTERACTION = {"total_input_tokens": 70, "total_output_tokens": 30, "total_tokens": 100}


@dataclass(frozen=True)
class Job:
    """A reply that is made in the background: how it is asked for and fetched, before and when it is done."""

    make: str
    fetch: str
    asked: Any
    pending: Any
    done: Any
    host: str = "api.openai.com"
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)


def response(status: str, **more: Any) -> dict[str, Any]:
    usage = OPENAI if status == "completed" else None
    return {"id": "resp_1", "object": "response", "model": "gpt-4o", "status": status, "usage": usage, **more}


def response_events(*, background: bool = True, last: str = "response.completed") -> list[Any]:
    events = [
        {"type": "response.created", "response": response("in_progress", background=background)},
        {"type": "response.output_text.delta", "delta": "Hello"},
        {"type": "response.completed", "response": response("completed", background=background)},
    ]
    return events if last == "response.completed" else events[:-1]


def run(status: str) -> dict[str, Any]:
    usage = CHAT if status == "completed" else None
    return {"id": "run_1", "object": "thread.run", "model": "gpt-4o", "status": status, "usage": usage}


def batch(status: str) -> dict[str, Any]:
    usage = OPENAI if status == "completed" else dict.fromkeys(OPENAI, 0)
    return {"id": "batch_1", "object": "batch", "model": "gpt-4o", "status": status, "usage": usage}


def gemini_batch(*, done: bool) -> dict[str, Any]:
    answers = [{"response": {"usageMetadata": GEMINI}}]
    said = {"done": True, "response": {"inlinedResponses": {"inlinedResponses": answers}}} if done else {}
    return {"name": "batches/b1", "metadata": {"model": "models/gemini-2.5-flash"}, **said}


def prediction(status: str) -> dict[str, Any]:
    metrics = {"input_token_count": 70, "output_token_count": 30 if status == "succeeded" else 1}
    return {"id": "p1", "model": "meta/llama", "status": status, "input": {}, "urls": {}, "metrics": metrics}


def interaction(status: str) -> dict[str, Any]:
    grown = INTERACTION if status == "completed" else INTERACTION | {"total_output_tokens": 1, "total_tokens": 71}
    return {"id": "i1", "object": "interaction", "agent": "deep-research", "status": status, "usage": grown}


MESSAGE = {"id": "msg_1", "type": "message", "model": "claude", "content": []}
RESULTS = ndjson(
    [
        {"custom_id": str(n), "result": {"type": "succeeded", "message": {**MESSAGE, "usage": usage}}}
        for n, usage in enumerate(
            [{"input_tokens": 50, "output_tokens": 10}, {"input_tokens": 20, "output_tokens": 20}]
        )
    ]
)

JOBS = {
    "response": Job(
        "/v1/responses",
        "/v1/responses/resp_1",
        {"model": "gpt-4o", "input": "Hi", "background": True},
        response("queued"),
        response("completed"),
    ),
    "response fetched as a stream": Job(
        "/v1/responses",
        "/v1/responses/resp_1",
        {"model": "gpt-4o", "input": "Hi", "background": True},
        response("queued"),
        response_events(),
        headers=(("content-type", "text/event-stream"),),
    ),
    "run": Job(
        "/v1/threads/t/runs", "/v1/threads/t/runs/run_1", {"assistant_id": "a"}, run("queued"), run("completed")
    ),
    "OpenAI's batch": Job(
        "/v1/batches", "/v1/batches/batch_1", {"input_file_id": "f"}, batch("in_progress"), batch("completed")
    ),
    "Anthropic's batch": Job(
        "/v1/messages/batches",
        "/v1/messages/batches/msgbatch_1/results",
        {"requests": []},
        "",
        RESULTS,
        host="api.anthropic.com",
        headers=(("content-type", "application/x-jsonl"),),
    ),
    "Gemini's batch": Job(
        "/v1beta/models/gemini-2.5-flash:batchGenerateContent",
        "/v1beta/batches/b1",
        {"batch": {}},
        gemini_batch(done=False),
        gemini_batch(done=True),
        host="generativelanguage.googleapis.com",
    ),
    "interaction": Job(
        "/v1beta/interactions",
        "/v1beta/interactions/i1",
        {"agent": "deep-research", "input": "Hi", "background": True},
        interaction("in_progress"),
        interaction("completed"),
        host="generativelanguage.googleapis.com",
    ),
    "prediction": Job(
        "/v1/models/meta/llama/predictions",
        "/v1/predictions/p1",
        {"input": {"prompt": "Hi"}},
        prediction("processing"),
        prediction("succeeded"),
        host="api.replicate.com",
    ),
}

SUMS = "SELECT sum(input_tokens), sum(output_tokens), sum(total_tokens) FROM "

every_job = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
both_orders = pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])


@pytest.fixture
def collector(tmp_path: Path, database: str) -> Iterator[Collector]:
    with running(tmp_path, database=database) as collector:
        yield collector


def report(second: int, method: str, path: str, asked: Any, said: Any, **fields: Any) -> dict[str, Any]:
    """A report as the plugin makes it of a request that came in at that second."""
    return {
        "version": 1,
        "request_id": f"request-{second}",
        "timestamp": f"2026-01-01T00:00:{second:02}Z",
        "elapsed_time": 0.5,
        "aborted": "",
        "status": 200,
        "method": method,
        "path": path,
        "request_body": written(asked),
        "response_body": written(said),
        **fields,
    }


def fetching(job: Job, second: int, said: Any) -> dict[str, Any]:
    return report(second, "GET", job.fetch, None, said, host=job.host, response_headers=dict(job.headers))


def story(job: Job) -> list[dict[str, Any]]:
    """Asked for, polled twice, fetched three times."""
    made = report(0, "POST", job.make, job.asked, job.pending, host=job.host)
    polls = [fetching(job, second, job.pending) | {"response_headers": {}} for second in (1, 2)]
    return [made, *polls, *(fetching(job, second, job.done) for second in (3, 4, 5))]


def send(collector: Collector, *reports: dict[str, Any]) -> None:
    for one in reports:
        assert collector.report(one).status_code == 200


def sums(collector: Collector, *, calls: int = 1) -> tuple[int, int]:
    """Input and output tokens of all calls; fails unless audit, views and metrics agree, and so many have tokens."""
    [stored] = sql(str(collector.database), SUMS + "calls")
    for view in ("token_stats", "usage_by_day", "usage_by_model", "usage_by_consumer"):
        assert sql(str(collector.database), SUMS + view) == [stored], view
    exposed = collector.client.get("/metrics").text
    for name, total in zip(("input", "output"), stored, strict=False):
        assert sum_samples(exposed, f"gen_ai_client_inference_usage_{name}_tokens_total") == total
        kind = {"gen_ai_token_type": name}
        assert sum_samples(exposed, "gen_ai_client_token_usage_sum", **kind) == total
        assert sum_samples(exposed, "gen_ai_client_token_usage_count", **kind) == calls
    return stored[0], stored[1]


@every_job
def test_a_reply_made_in_the_background_is_counted_once(collector: Collector, job: Job) -> None:
    send(collector, *story(job))
    assert sums(collector) == (70, 30)
    assert [collector.call(f"request-{n}")["usage_source"] for n in range(6)] == [
        *["unknown"] * 3,
        "reported",
        *["unknown"] * 2,
    ]


@every_job
def test_it_is_counted_once_when_the_reports_come_backwards(collector: Collector, job: Job) -> None:
    send(collector, *reversed(story(job)))
    assert sums(collector) == (70, 30)


@every_job
@both_orders
def test_it_is_counted_once_when_the_reports_come_together(collector: Collector, job: Job, order: int) -> None:
    answer = collector.lines(*story(job)[::order]).json()
    assert (answer["accepted"], answer["duplicates"]) == (6, 0)
    assert sums(collector) == (70, 30)


@every_job
def test_it_is_counted_once_when_reports_say_no_method(collector: Collector, job: Job) -> None:
    send(collector, *({**one, "method": None} for one in story(job)))
    assert sums(collector) == (70, 30)


def test_it_is_counted_once_across_a_restart(tmp_path: Path, database: str) -> None:
    reports = story(JOBS["response"])
    with running(tmp_path, database=database) as collector:
        send(collector, *reports[:4])
        assert sums(collector) == (70, 30)
    with running(tmp_path, database=database) as collector:
        send(collector, *reports[4:])
        assert sql(database, "SELECT sum(total_tokens), count(*) FROM calls") == [(100, 6)]
        assert "gen_ai_client_token_usage_sum" not in collector.client.get("/metrics").text


@both_orders
def test_a_stream_that_ends_with_its_usage_and_is_polled_meanwhile_is_counted_once(
    collector: Collector, order: int
) -> None:
    asked = {"model": "gpt-4o", "input": "Hi", "background": True, "stream": True}
    made = report(0, "POST", "/v1/responses", asked, response_events(), host="api.openai.com")
    job = JOBS["response"]
    polled, last = fetching(job, 1, response("in_progress")), fetching(job, 2, job.done)
    send(collector, *[made, polled, last][::order])
    assert sums(collector) == (70, 30)


def test_a_background_stream_that_broke_off_is_counted_when_it_is_fetched(collector: Collector) -> None:
    asked = {"model": "gpt-4o", "input": "Hi", "background": True, "stream": True}
    broken = report(
        0, "POST", "/v1/responses", asked, response_events(last="delta"), host="api.openai.com", aborted="client"
    )
    job = JOBS["response"]
    send(collector, broken, fetching(job, 1, job.done), fetching(job, 2, job.done))
    assert sums(collector) == (70, 30)


def test_what_a_list_says_of_replies_is_not_counted(collector: Collector) -> None:
    job = JOBS["run"]
    steps = {"object": "list", "data": [{"object": "thread.run.step", "usage": CHAT}]}
    runs = {"object": "list", "data": [run("completed")]}
    send(
        collector,
        fetching(job, 1, job.done),
        report(2, "GET", "/v1/threads/t/runs/run_1/steps", None, steps),
        report(3, "GET", "/v1/threads/t/runs/run_1/steps/step_1", None, steps["data"][0]),
        report(4, "GET", "/v1/threads/t/runs", None, runs),
    )
    assert sums(collector) == (70, 30)


def test_cancelling_a_reply_that_is_done_counts_nothing(collector: Collector) -> None:
    job = JOBS["response"]
    cancel = report(2, "POST", f"{job.fetch}/cancel", None, job.done, host=job.host)
    send(collector, fetching(job, 1, job.done), cancel)
    assert sums(collector) == (70, 30)


# ── A usage that is told in more than one way ───────────────────────────────────────────


def polled(second: int, said: Any) -> dict[str, Any]:
    return report(second, "GET", "/v1/batches/batch_1", None, said, host="api.openai.com")


def downloaded(second: int, name: str = "file-1", *, half: int = 0) -> dict[str, Any]:
    """The file of two answers, or one of them."""
    usages = [{"input_tokens": 50, "output_tokens": 10}, {"prompt_tokens": 20, "completion_tokens": 20}]
    lines = [
        {"id": f"batch_req_{n}", "custom_id": str(n), "response": {"body": {"id": str(n), "usage": usage}}}
        for n, usage in enumerate(usages)
    ]
    said = ndjson(lines[:half] if half else lines)
    headers = {"content-type": "application/octet-stream"}
    path = f"/v1/files/{name}/content"
    return report(second, "GET", path, None, said, host="api.openai.com", response_headers=headers)


ADDED_UP = batch("completed") | {"output_file_id": "file-1"}
NOT_ADDED_UP = ADDED_UP | {"usage": None}
ORDERS = [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 3, 2), (2, 3, 0, 1)]


@pytest.mark.parametrize("order", ORDERS)
def test_a_batch_and_its_file_are_counted_once_in_whatever_order(collector: Collector, order: tuple[int, ...]) -> None:
    reports = [polled(0, ADDED_UP), downloaded(1), polled(2, ADDED_UP), downloaded(3)]
    send(collector, *(reports[place] for place in order))
    assert sums(collector) == (70, 30)
    having = f"request-{order[0]}"
    stored = sql(str(collector.database), "SELECT DISTINCT counted_by FROM calls")
    assert stored == [(having,)]


@both_orders
def test_a_batch_and_its_file_are_counted_once_when_the_reports_come_together(collector: Collector, order: int) -> None:
    reports = [polled(0, batch("in_progress")), polled(1, ADDED_UP), downloaded(2), polled(3, ADDED_UP), downloaded(4)]
    assert collector.lines(*reports[::order]).json()["accepted"] == len(reports)
    assert sums(collector) == (70, 30)


@pytest.mark.parametrize("order", ORDERS)
def test_the_file_of_a_batch_that_says_no_usage_is_counted_once(collector: Collector, order: tuple[int, ...]) -> None:
    reports = [polled(0, NOT_ADDED_UP), downloaded(1), polled(2, NOT_ADDED_UP), downloaded(3)]
    send(collector, *(reports[place] for place in order))
    assert sums(collector) == (70, 30)


def test_files_of_two_batches_are_counted_both(collector: Collector) -> None:
    send(collector, downloaded(0), downloaded(1, "file-2"), downloaded(2), downloaded(3, "file-2"))
    assert sums(collector, calls=2) == (140, 60)


@both_orders
def test_a_job_of_mistrals_that_holds_its_answers_and_its_file_are_counted_once(
    collector: Collector, order: int
) -> None:
    outputs = [{"custom_id": "0", "response": {"body": {"usage": CHAT}}}]
    job = {"id": "job-1", "object": "batch", "model": "m", "status": "SUCCESS", "output_file": "file-1"}
    path, host = "/v1/batch/jobs/job-1", "api.mistral.ai"
    reports = [
        report(0, "GET", path, None, {**job, "outputs": None}, host=host),
        report(1, "GET", path, None, {**job, "outputs": outputs}, host=host),
        downloaded(2) | {"host": host},
    ]
    send(collector, *reports[::order])
    assert sums(collector) == (70, 30)


def test_a_file_that_is_uploaded_or_is_no_batchs_output_uses_nothing(collector: Collector) -> None:
    asked = ndjson([{"custom_id": "0", "method": "POST", "url": "/v1/responses", "body": {"usage": OPENAI}}] * 2)
    path = "/v1/files/file-1/content"
    send(collector, report(0, "POST", "/v1/files", asked, {"id": "file-1", "purpose": "batch"}))
    send(collector, report(1, "GET", path, None, asked), report(2, "GET", path, None, ndjson([{"usage": CHAT}] * 2)))
    assert sql(str(collector.database), SUMS + "calls") == [(None, None, None)]


def test_a_range_of_a_file_leaves_the_tokens_to_the_whole(collector: Collector) -> None:
    send(collector, downloaded(0, half=1) | {"status": 206}, downloaded(1))
    assert sums(collector) == (70, 30)


def page(second: int, first: int, last: int) -> dict[str, Any]:
    """The results of a batch at xAI from one to another, each of 7 and 3 tokens."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    results = [
        {
            "batch_request_id": str(n),
            "batch_result": {"response": {"chat_get_completion": {"id": f"a{n}", "model": "grok-4", "usage": usage}}},
        }
        for n in range(first, last)
    ]
    said = {"results": results, "pagination_token": None}
    return report(second, "GET", "/v1/batches/batch_1/results", None, said, host="api.x.ai")


@pytest.mark.parametrize("order", ORDERS)
def test_results_in_pages_are_counted_once_however_long_the_pages_are(
    collector: Collector, order: tuple[int, ...]
) -> None:
    pages = [page(0, 0, 4), page(1, 4, 10), page(2, 0, 10), page(3, 2, 7)]
    send(collector, *(pages[place] for place in order))
    having = sql(str(collector.database), "SELECT count(*) FROM calls WHERE total_tokens IS NOT NULL")
    assert sums(collector, calls=having[0][0]) == (70, 30)
    counted = [collector.call(f"request-{place}")["usage_source"] for place in order]
    assert (counted[0], counted[-1]) == ("reported", "unknown")


@both_orders
def test_results_in_pages_are_counted_once_when_the_reports_come_together(collector: Collector, order: int) -> None:
    assert collector.lines(*[page(0, 0, 4), page(1, 4, 10), page(2, 0, 10)][::order]).json()["accepted"] == 3
    assert sums(collector, calls=2 if order > 0 else 1) == (70, 30)


def test_results_that_come_while_others_are_made_are_counted_as_they_come(collector: Collector) -> None:
    send(collector, page(0, 0, 3), page(1, 0, 8), page(2, 0, 10), page(3, 0, 10))
    assert [collector.call(f"request-{n}")["input_tokens"] for n in range(4)] == [21, 35, 14, None]
    assert sums(collector, calls=3) == (70, 30)


def test_a_page_costs_what_its_new_results_cost(collector: Collector) -> None:
    send(collector, page(0, 0, 3), page(1, 0, 10), page(2, 0, 10))
    first, rest = (Decimal(collector.call(f"request-{n}")["cost"]) for n in range(2))
    assert first > 0
    assert rest * 3 == first * 7
    assert collector.call("request-2")["cost"] is None


def test_a_report_of_a_page_that_comes_twice_changes_nothing(collector: Collector) -> None:
    send(collector, page(0, 0, 3), page(0, 0, 10), page(1, 0, 10))
    assert sums(collector, calls=2) == (70, 30)


def test_parts_are_known_across_a_restart(tmp_path: Path, database: str) -> None:
    with running(tmp_path, database=database) as collector:
        send(collector, polled(0, ADDED_UP), page(1, 0, 4))
    with running(tmp_path, database=database) as collector:
        send(collector, downloaded(2), page(3, 0, 10))
        assert sql(database, "SELECT sum(input_tokens) FROM calls") == [(140,)]


def test_a_server_that_gives_every_reply_the_same_id_is_counted_in_full(collector: Collector) -> None:
    said = {"id": "chatcmpl-mock", "object": "chat.completion", "model": "m", "choices": [], "usage": CHAT}
    asked = {"model": "m", "messages": []}
    send(collector, *(report(n, "POST", "/v1/chat/completions", asked, said) for n in range(3)))
    assert collector.sample("gen_ai_client_inference_usage_input_tokens_total") == 3 * 70
    assert sql(str(collector.database), "SELECT sum(input_tokens) FROM calls") == [(3 * 70,)]


def test_a_count_past_all_reason_is_neither_stored_nor_shown(collector: Collector) -> None:
    usage = {"prompt_tokens": 2**41, "completion_tokens": 30}
    said = {"id": "c", "object": "chat.completion", "model": "m", "choices": [], "usage": usage}
    send(collector, report(0, "POST", "/v1/chat/completions", {"model": "m", "messages": []}, said))
    assert (collector.call("request-0")["input_tokens"], collector.call("request-0")["output_tokens"]) == (None, 30)
    exposed = collector.client.get("/metrics").text
    assert "gen_ai_client_inference_usage_input_tokens_total{" not in exposed
    assert sum_samples(exposed, "gen_ai_client_inference_usage_output_tokens_total") == 30


def test_how_fast_a_stored_reply_was_fetched_is_no_speed_of_a_model(collector: Collector) -> None:
    job = JOBS["response"]
    send(collector, fetching(job, 1, job.done))
    assert collector.call("request-1")["tokens_per_second"] is None
    assert "llmtoken_output_speed_sum" not in collector.client.get("/metrics").text
