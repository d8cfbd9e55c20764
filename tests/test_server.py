"""The collector over real HTTP: every answer it gives, and what is in the books afterwards."""

import gzip
import json
import re
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmtoken.errors import StorageUnavailable
from support.canary import CANARY
from support.collector import Collector, running, wait_for

WRITE, READ = f"{CANARY}-write", f"{CANARY}-read"
CHAT = {
    "method": "POST",
    "path": "/v1/chat/completions",
    "host": "api.openai.com",
    "status": 200,
    "request_body": json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "user": CANARY}),
    "response_body": json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "gpt-4o-2024-08-06",
            "system_fingerprint": CANARY,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello!"}}],
            "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
        }
    ),
    "elapsed_time": 2.0,
}


def chat(**changes: Any) -> dict[str, Any]:
    return {**CHAT, **changes}


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with running(tmp_path) as collector:
        yield collector


# ── One report ──────────────────────────────────────────────────────────────────────────


def test_one_report_is_answered_with_the_keys_of_the_seed(collector: Collector) -> None:
    answer = collector.report(chat(request_id="a"))
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "request_id": "a", "total_tokens": 10, "tps": 5.0}


def test_the_seeds_report_with_five_fields_is_enough(collector: Collector) -> None:
    seed = {
        **{key: CHAT[key] for key in ("request_body", "response_body", "elapsed_time", "path")},
        "timestamp": "2025-04-27T10:00:00+08:00",
    }
    answer = collector.report(seed).json()
    row = collector.call(answer["request_id"])
    assert (row["input_tokens"], row["output_tokens"]) == (8, 2)
    assert row["started_at"].startswith("2025-04-27T01:59:58"), "the seed stamps the end, the audit the start"


def test_an_acknowledged_report_is_in_the_audit_with_its_bodies(collector: Collector) -> None:
    collector.report(chat(request_id="a"))
    row = collector.call("a", bodies=True)
    assert row["request_body"] == CHAT["request_body"]
    assert row["response_body"] == CHAT["response_body"]
    assert row["usage_source"] == "reported"
    assert row["response_model"] == "gpt-4o-2024-08-06"


def test_bodies_are_left_out_unless_asked_for(collector: Collector) -> None:
    collector.report(chat(request_id="a"))
    assert "request_body" not in collector.call("a")


def test_details_are_left_out_unless_asked_for(collector: Collector) -> None:
    reply = {**json.loads(CHAT["response_body"]), "service_tier": "flex"}
    collector.report(chat(request_id="a", response_body=json.dumps(reply)))
    assert "details" not in collector.call("a")
    assert collector.call("a", details=True)["details"] == {"service_tier": "flex"}


def test_an_acknowledged_report_is_on_the_metrics(collector: Collector) -> None:
    collector.report(chat())
    assert collector.sample("gen_ai_client_inference_usage_input_tokens_total") == 8
    assert collector.sample("gen_ai_client_inference_usage_output_tokens_total") == 2
    assert collector.sample("llmtoken_requests_total") == 1


def test_a_report_that_comes_twice_is_stored_once_and_counted_once(collector: Collector) -> None:
    answers = [collector.report(chat(request_id="a")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert collector.sample("llmtoken_requests_total") == 1
    assert collector.sample("llmtoken_reports_total", llmtoken_report_outcome="duplicate") == 1


def test_a_report_whose_bodies_mean_nothing_is_stored_and_counted_as_a_request(collector: Collector) -> None:
    collector.report(chat(request_id="a", path="/hello", request_body="what", response_body="<html>ever"))
    assert collector.call("a")["usage_source"] == "unknown"
    assert collector.sample("llmtoken_requests_total") == 1


def test_missing_usage_is_counted_and_says_that_it_is_an_estimate(collector: Collector) -> None:
    reply = {**json.loads(CHAT["response_body"]), "usage": None}
    collector.report(chat(request_id="a", response_body=json.dumps(reply)))
    row = collector.call("a")
    assert row["usage_source"] == "estimated"
    assert (row["input_tokens"], row["output_tokens"]) == (8, 2)


def test_a_cut_stream_is_partial_and_never_an_error_of_ours(collector: Collector) -> None:
    chunk = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o"}
    delta = {"choices": [{"index": 0, "delta": {"content": "one two three"}, "finish_reason": None}]}
    body = f"data: {json.dumps({**chunk, **delta})}\n\ndata: {json.dumps(chunk)[:20]}"
    collector.report(chat(request_id="a", response_body=body, aborted="upstream"))
    row = collector.call("a")
    assert (row["usage_source"], row["output_tokens"], row["aborted"]) == ("partial", 3, "upstream")


@pytest.mark.parametrize(
    ("status", "body"),
    [(502, "<html><body>Bad Gateway</body></html>"), (429, '{"error": {"type": "rate_limit_error"}}'), (500, "")],
)
def test_an_error_reply_has_an_error_type_and_no_tokens(collector: Collector, status: int, body: str) -> None:
    collector.report(chat(request_id="a", status=status, response_body=body))
    row = collector.call("a")
    assert row["error_type"]
    assert row["output_tokens"] is None


# ── Many reports ────────────────────────────────────────────────────────────────────────


def test_a_batch_says_what_it_accepted_and_what_it_refused(collector: Collector) -> None:
    answer = collector.lines(chat(request_id="a"), b'{"broken', chat(request_id="b"), chat(request_id="a"))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["accepted"], body["duplicates"]) == ("ok", 2, 1)
    assert [refused["line"] for refused in body["rejected"]] == [1]


def test_a_refused_line_never_takes_its_neighbours_with_it(collector: Collector) -> None:
    lines = [chat(request_id="a"), {"request_body": 5}, [], b"\xff\xfe", chat(request_id="b", elapsed_time="long")]
    collector.lines(*lines, chat(request_id="c"))
    assert collector.call("a")["input_tokens"] == 8
    assert collector.call("c")["input_tokens"] == 8
    assert collector.sample("llmtoken_reports_total", llmtoken_report_outcome="rejected") == 4


def test_a_batch_without_one_good_line_is_refused_with_every_reason(collector: Collector) -> None:
    answer = collector.lines(b"oops", b"{}")
    assert answer.status_code == 400
    assert [refused["line"] for refused in answer.json()["rejected"]] == [0, 1]


def test_a_batch_may_be_gzipped(collector: Collector) -> None:
    content = gzip.compress(json.dumps(chat(request_id="a")).encode())
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    assert collector.client.post("/api/report", content=content, headers=headers).json()["accepted"] == 1


# ── Bad input ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b'{"request_body": "\xff"}', 400),
        (b"[]", 422),
        (b'{"request_body": "{}"}', 422),
        (b'{"request_body": {}, "response_body": "", "elapsed_time": 1}', 422),
        (b'{"request_body": "", "response_body": "", "elapsed_time": -1}', 422),
        (b'{"request_body": "", "response_body": "", "elapsed_time": 1e999}', 422),
    ],
)
def test_bad_input_is_told_what_was_wrong_and_how_to_mend_it(collector: Collector, content: bytes, status: int) -> None:
    answer = collector.client.post("/api/report", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json().keys() == {"status", "error", "hint"}


def test_a_request_that_is_too_large_hears_so(tmp_path: Path) -> None:
    with running(tmp_path, max_request_bytes=2048) as collector:
        answer = collector.report(chat(request_body="x" * 5000))
        assert answer.status_code == 413
        assert "LLMTOKEN_MAX_REQUEST_BYTES" in answer.json()["hint"]
        assert collector.report(chat()).status_code == 200


def test_a_hundred_megabytes_are_refused_and_the_next_report_is_taken(collector: Collector) -> None:
    body = b'{"request_body": "' + b"x" * 100_000_000 + b'"}'
    assert collector.client.post("/api/report", content=body).status_code == 413
    assert collector.report(chat()).status_code == 200


def test_a_bomb_is_refused(collector: Collector) -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    answer = collector.client.post("/api/report", content=bomb, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413


def test_an_unknown_path_is_answered_in_the_one_shape_of_errors(collector: Collector) -> None:
    answer = collector.client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json().keys() == {"status", "error", "hint"}


def test_a_wrong_query_is_answered_in_the_one_shape_of_errors(collector: Collector) -> None:
    collector.report(chat(request_id="a"))
    answer = collector.client.get("/api/calls/a", params={"bodies": "perhaps"})
    assert answer.status_code == 422
    assert answer.json().keys() == {"status", "error", "hint"}


def test_a_call_that_does_not_exist_is_not_found(collector: Collector) -> None:
    assert collector.client.get("/api/calls/nobody").status_code == 404


# ── Back-pressure ───────────────────────────────────────────────────────────────────────


def test_a_full_queue_says_when_to_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as collector:
        monkeypatch.setattr("llmtoken.pipeline.Pipeline.full", property(lambda _: True))
        answer = collector.report(chat())
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert collector.client.get("/ready").status_code == 503


def test_a_database_that_refuses_gives_no_acknowledgement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageUnavailable("The disk is full", hint="make room", retry_after=7)

    with running(tmp_path) as collector:
        with monkeypatch.context() as patch:
            patch.setattr("llmtoken.audit.Audit.write", refuse)
            answer = collector.report(chat(request_id="a"))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
            assert collector.client.get("/api/calls/a").status_code == 404
        assert collector.report(chat(request_id="a")).status_code == 200
        assert collector.sample("llmtoken_requests_total") == 1


def test_what_was_accepted_is_kept_when_the_collector_stops(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        collector.lines(*(chat(request_id=f"r{n}") for n in range(50)))
    with running(tmp_path) as collector:
        assert collector.call("r49")["input_tokens"] == 8


def test_the_metrics_say_how_much_may_wait_and_how_much_room_is_left(tmp_path: Path) -> None:
    with running(tmp_path, queue_reports=7, queue_bytes=4096, retain_bytes=5_000_000) as collector:
        assert collector.sample("llmtoken_queue_limit_reports") == 7
        assert collector.sample("llmtoken_queue_limit_bytes") == 4096
        assert collector.sample("llmtoken_database_limit_bytes") == 5_000_000
        assert 0 < collector.sample("llmtoken_disk_available_bytes") < collector.sample("llmtoken_disk_size_bytes")


# ── Who may ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Collector]:
    with running(tmp_path, token=WRITE, read_token=READ) as collector:
        yield collector


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", f"Basic {WRITE}", f"Bearer {READ}", "bearer é"])
def test_a_report_without_the_right_token_is_refused(guarded: Collector, given: str | None) -> None:
    headers = {} if given is None else {"authorization": given.encode()}
    answer = guarded.client.post("/api/report", json=chat(), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_report_with_the_token_is_taken(guarded: Collector) -> None:
    assert guarded.report(chat(), authorization=f"Bearer {WRITE}").status_code == 200


def test_the_audit_is_read_with_the_read_token_only(guarded: Collector) -> None:
    guarded.report(chat(request_id="a"), authorization=f"Bearer {WRITE}")
    status = {
        token: guarded.client.get("/api/calls/a", headers={"authorization": f"Bearer {token}"}).status_code
        for token in (WRITE, READ)
    }
    assert status == {WRITE: 401, READ: 200}


# ── A door of its own ───────────────────────────────────────────────────────────────────


def test_other_methods_are_told_which_one_it_takes(collector: Collector) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        answer = collector.client.request(method, "/api/report")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
        assert method == "HEAD" or answer.json().keys() == {"status", "error", "hint"}


def test_a_slash_too_many_leads_to_the_right_place(collector: Collector) -> None:
    answer = collector.client.post("/api/report/", json=chat(request_id="a"), follow_redirects=True)
    assert [step.status_code for step in answer.history] == [307]
    assert answer.json()["request_id"] == "a"


def raw(collector: Collector, sent: bytes) -> bytes:
    """What is answered at first, to who sends just that."""
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2])), 30) as connection:
        connection.sendall(sent)
        return connection.recv(65536)


def test_who_may_not_report_hears_so_before_sending_the_report(guarded: Collector) -> None:
    assert raw(guarded, b"POST /api/report HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").split()[1] == b"401"


def test_who_comes_when_too_much_is_waiting_hears_so_before_sending_the_report(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmtoken.pipeline.Pipeline.full", property(lambda _: True))
    answer = raw(collector, b"POST /api/report HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
    assert answer.split()[1] == b"429"


@pytest.mark.parametrize(("size", "status"), [(100, 200), (3000, 413)])
def test_a_report_may_come_in_pieces_of_unknown_number(tmp_path: Path, size: int, status: int) -> None:
    content = json.dumps(chat(request_id="a")).encode() + b" " * size
    pieces = (content[start : start + 64] for start in range(0, len(content), 64))
    with running(tmp_path, max_request_bytes=2048) as collector:
        assert collector.client.post("/api/report", content=pieces).status_code == status
        assert collector.report(chat(request_id="b")).status_code == 200


def test_of_a_header_that_is_said_twice_the_first_counts(guarded: Collector) -> None:
    tokens = [("authorization", f"Bearer {WRITE}"), ("authorization", "Bearer wrong")]
    status = [
        guarded.client.post("/api/report", json=chat(), headers=said).status_code for said in (tokens, tokens[::-1])
    ]
    assert status == [200, 401]


def test_half_a_report_is_neither_stored_nor_a_defect(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps(chat(request_id="half")).encode()
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2]))) as connection:
        connection.sendall(
            f"POST /api/report HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body) + 1}\r\n\r\n".encode() + body
        )
    collector.report(chat(request_id="whole"))
    assert collector.client.get("/api/calls/half").status_code == 404
    assert caplog.records == []


def test_a_defect_of_ours_is_answered_and_told(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("llmtoken.payload.parse", broken)
    assert collector.report(chat()).status_code == 500
    assert "Exception in ASGI application\n" in [record.message for record in caplog.records]


# ── The rest ────────────────────────────────────────────────────────────────────────────


def test_health_and_ready_say_ok(collector: Collector) -> None:
    assert collector.client.get("/health").json()["status"] == "ok"
    assert collector.client.get("/ready").json() == {
        "status": "ok",
        "database_writable": True,
        "queue_full": False,
    }


def test_metrics_are_a_plain_route_without_a_redirect(collector: Collector) -> None:
    answer = collector.client.get("/metrics", follow_redirects=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")


def test_the_docs_need_nothing_from_the_internet(collector: Collector) -> None:
    page = collector.client.get("/docs").text
    addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page)
    for address in (one or other for one, other in addresses):
        answer = collector.client.get(address)
        assert answer.status_code == 200, address
    assert len(addresses) >= 4


def test_a_client_that_leaves_before_the_answer_loses_nothing(collector: Collector) -> None:
    body = json.dumps(chat(request_id="left")).encode()
    head = f"POST /api/report HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    port = int(collector.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head + body)
    wait_for(lambda: collector.client.get("/api/calls/left").status_code == 200)


# ── In a process with others ────────────────────────────────────────────────────────────


def test_its_first_requests_find_all_routes_made(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """While FastAPI makes one, it changes what the whole process does with warnings, also in other threads."""

    def changed() -> None:
        raise AssertionError("a request made a route")

    with monkeypatch.context() as patch:
        patch.setattr(warnings, "catch_warnings", changed)
        answers = [collector.client.get(path) for path in ("/", "/landing/icon.svg", "/health", "/api/calls/none")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
