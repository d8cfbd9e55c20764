"""Recorded exchanges through the real pipeline: into real databases and real collectors."""

import gzip
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from llmtoken import audit, config
from llmtoken.errors import ReplayError, Unauthorized
from llmtoken.reading import read
from llmtoken.replay import Summary, destination, open_source, replay
from support import collector, recordings
from support.interrupted import interrupted
from support.needs import corpus
from support.terminal import needs_terminal, shown_on_a_terminal

REQUEST = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}'
REPLY = (
    '{"id": "c", "object": "chat.completion", "model": "gpt-4o", "choices": [{"index": 0, "finish_reason": "stop", '
    '"message": {"role": "assistant", "content": "Hello"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 3, '
    '"total_tokens": 10}}'
)
BODIES = {"request_body": REQUEST, "response_body": REPLY}
PATH = "/v1/chat/completions"


def report(request_id: str | None = "r-1", **fields: Any) -> str:
    """A line as the plugin writes it."""
    said = {"version": 1, "request_id": request_id, "elapsed_time": 2.0, "path": PATH, "method": "POST", "status": 200}
    return json.dumps({**said, "timestamp": "2026-01-02T03:04:05Z", **BODIES, **fields})


def exchange(identity: str = "e-1", **fields: Any) -> str:
    """A line as recorded exchanges are kept."""
    said = {"id": identity, "provider": "api.openai.com", "method": "POST", "path": PATH, "query": "", "status": 200}
    return json.dumps({**said, "request_headers": {}, "response_headers": {}, **BODIES, **fields})


def lines(path: Path, *content: str | bytes) -> Path:
    path.write_bytes(b"".join((one if isinstance(one, bytes) else one.encode()) + b"\n" for one in content))
    return path


def seed(path: Path, *rows: Sequence[Any]) -> Path:
    """A database as the seed makes it; each row is elapsed_time, timestamp, path, request_body, response_body."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE token_stats (id INTEGER NOT NULL PRIMARY KEY, input_tokens INTEGER, output_tokens INTEGER, "
            "total_tokens INTEGER, elapsed_time FLOAT, tokens_per_second FLOAT, timestamp VARCHAR, path VARCHAR, "
            "request_body TEXT, response_body TEXT)"
        )
        connection.executemany(
            "INSERT INTO token_stats (input_tokens, output_tokens, total_tokens, elapsed_time, timestamp, path, "
            "request_body, response_body) VALUES (8, 1, 9, ?, ?, ?, ?, ?)",
            rows,
        )
    return path


def run(
    source: Path | str, to: Path | str, *, max_line: int = 1024 * 1024, batch: int = 100, **options: Any
) -> Summary:
    settings = config.load(None, **options)
    return replay(
        open_source(str(source), max_line=max_line),
        destination(str(to), settings),
        batch_reports=batch,
        advanced=lambda _: None,
    )


def rows(database: Path) -> list[dict[str, Any]]:
    with audit.open_read_only(str(database)) as reader:
        return list(reader.every())


def _counted_elsewhere(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {row[0] for row in connection.execute("SELECT request_id FROM calls WHERE counted_by <> request_id")}


def llmtoken(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmtoken", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")},
    )


# ── What is counted ─────────────────────────────────────────────────────────────────────


def test_every_recording_is_stored_with_what_reading_it_gives(tmp_path: Path) -> None:
    summary = run(corpus(), tmp_path / "a.db")
    readings = [read(one.report, config.load(None)).record.call for one in recordings.load()]
    assert (summary.read, summary.new, summary.rejected) == (len(readings), len(readings), 0)
    # A reply that was recorded when it was made and when it was fetched is counted once.
    elsewhere = _counted_elsewhere(tmp_path / "a.db")
    counted = [call for call in readings if call.request_id not in elsewhere]
    assert 0 < len(elsewhere) < len(readings) / 10
    assert summary.tokens is not None
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        assert summary.tokens[name] == sum(getattr(call, name) or 0 for call in counted)
    stored = {row["request_id"]: row for row in rows(tmp_path / "a.db")}
    for call in counted:
        row = stored[call.request_id]
        assert (row["input_tokens"], row["output_tokens"], row["usage_source"], row["error_type"]) == (
            *(call.input_tokens, call.output_tokens, call.usage_source, call.error_type),
        )


def test_a_replay_that_is_repeated_counts_nothing_twice(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", report(), exchange(), report(None))
    first, second = run(file, tmp_path / "a.db"), run(file, tmp_path / "a.db")
    assert (first.new, first.duplicates) == (3, 0)
    assert (second.read, second.new, second.duplicates) == (3, 0, 3)
    assert second.tokens is not None
    assert second.tokens.total() == 0
    assert len(rows(tmp_path / "a.db")) == 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_replay_that_was_broken_off_goes_on_without_counting_twice(tmp_path: Path, how: signal.Signals) -> None:
    file = lines(tmp_path / "a", *(exchange(f"e-{number}") for number in range(5_000)))
    for attempt in range(5):
        database = tmp_path / f"{attempt}.db"
        code, told = interrupted(
            *("replay", file, "--to", str(database)),
            once=lambda at=database: at.exists() and _rows_of(at) > 0,  # type: ignore[misc]
            how=how,
        )
        if code != 0:
            break  # otherwise it was through before it got the signal, on a busy machine
    if how == signal.SIGINT:
        assert code == 130
        assert told == "Interrupted. Run it again to go on: nothing is counted twice.\n"
    before = _rows_of(database)
    assert 0 < before < 5_000
    summary = run(file, database)
    assert (summary.duplicates, summary.new) == (before, 5_000 - before)
    assert _rows_of(database) == 5_000


def _rows_of(database: Path) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
        except sqlite3.OperationalError:  # its tables aren't made yet
            return 0


def test_reports_keep_their_ids_and_recorded_exchanges_theirs(tmp_path: Path) -> None:
    run(lines(tmp_path / "a", report("r-7"), exchange("e-7")), tmp_path / "a.db")
    assert {row["request_id"] for row in rows(tmp_path / "a.db")} == {"r-7", "e-7"}


def test_a_report_without_an_id_is_known_by_its_content_wherever_it_stands(tmp_path: Path) -> None:
    run(lines(tmp_path / "a", report(None)), tmp_path / "a.db")
    moved = run(lines(tmp_path / "b", report(), report(None)), tmp_path / "a.db")
    assert (moved.new, moved.duplicates) == (1, 1)


def test_a_report_keeps_the_time_when_it_happened(tmp_path: Path) -> None:
    run(lines(tmp_path / "a", report()), tmp_path / "a.db")
    assert rows(tmp_path / "a.db")[0]["started_at"] == "2026-01-02T03:04:05.000000Z"


def test_a_recording_without_a_clock_gets_no_speed(tmp_path: Path) -> None:
    run(lines(tmp_path / "a", exchange()), tmp_path / "a.db")
    assert rows(tmp_path / "a.db")[0]["tokens_per_second"] is None


# ── The seed's database ─────────────────────────────────────────────────────────────────


def test_a_row_of_the_seed_is_read_anew_and_starts_where_it_started(tmp_path: Path) -> None:
    source = seed(tmp_path / "token_stats.db", (2.5, "2025-06-01T12:00:10+02:00", PATH, REQUEST, REPLY))
    summary = run(source, tmp_path / "a.db")
    assert summary.tokens == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    row = rows(tmp_path / "a.db")[0]
    assert row["started_at"] == "2025-06-01T10:00:07.500000Z"
    assert (row["duration"], row["path"], row["usage_source"]) == (2.5, PATH, "reported")


def test_the_seed_stays_known_when_its_file_is_moved_and_grows(tmp_path: Path) -> None:
    one = (1.0, "2025-06-01T12:00:00Z", PATH, REQUEST, REPLY)
    source = seed(tmp_path / "token_stats.db", one, one)
    assert run(source, tmp_path / "a.db").new == 2
    shutil.copy(source, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy")) as connection, connection:
        connection.execute("INSERT INTO token_stats (elapsed_time, request_body, response_body) VALUES (1, '', '')")
    grown = run(tmp_path / "copy", tmp_path / "a.db")
    assert (grown.new, grown.duplicates) == (1, 2)


def test_a_row_of_the_seed_that_makes_no_sense_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = seed(
        tmp_path / "s",
        (1.0, "yesterday", PATH, REQUEST, REPLY),
        (-1.0, None, PATH, REQUEST, REPLY),
        (1.0, None, None, None, None),
        (1.0, None, PATH, REQUEST.encode() + b"\xff", REPLY.encode()),
    )
    summary = run(source, tmp_path / "a.db")
    assert (summary.read, summary.new, summary.rejected) == (4, 2, 2)
    (first, wrong_time), (second, wrong_duration) = summary.errors
    assert (first, second) == ("row 1", "row 2")
    assert "timestamp" in wrong_time
    assert "elapsed_time" in wrong_duration


# ── A database of ours ──────────────────────────────────────────────────────────────────

_READ_AGAIN = ("input_tokens", "output_tokens", "usage_source", "error_type", "response_model", "cost", "stream")


def test_a_database_of_ours_read_again_gives_the_same_numbers(tmp_path: Path) -> None:
    run(corpus(), tmp_path / "a.db")
    run(tmp_path / "a.db", tmp_path / "b.db")
    once = rows(tmp_path / "a.db")
    again = {row["request_id"]: row for row in rows(tmp_path / "b.db")}
    # Of a reply and its fetch the one counts that is stored first, and batches are read beside one another.
    elsewhere = _counted_elsewhere(tmp_path / "a.db") ^ _counted_elsewhere(tmp_path / "b.db")
    assert len(elsewhere) in {0, 2}
    different = [
        row["request_id"]
        for row in once
        if row["request_id"] not in elsewhere
        if any(row[name] != again[row["request_id"]][name] for name in (*_READ_AGAIN, "started_at"))
        or row["provider_name"] not in (None, again[row["request_id"]]["provider_name"])
    ]
    # A file of JSON lines that has a single line looks like JSON; only its media type, which isn't kept, told.
    assert len(different) <= 1
    assert _tokens(once) == _tokens(again.values())


def _tokens(stored: Iterable[dict[str, Any]]) -> list[int]:
    return [sum(row[name] or 0 for row in stored) for name in ("input_tokens", "output_tokens")]


def test_binary_bodies_of_ours_are_read_again(tmp_path: Path) -> None:
    run(corpus(), tmp_path / "a.db")
    binary = [row for row in rows(tmp_path / "a.db") if row["path"].endswith("converse-stream") and row["stream"]]
    assert binary
    run(tmp_path / "a.db", tmp_path / "b.db")
    again = {row["request_id"]: row for row in rows(tmp_path / "b.db")}
    assert all(again[row["request_id"]]["output_tokens"] == row["output_tokens"] for row in binary)


def test_a_call_whose_bodies_were_not_kept_is_rejected(tmp_path: Path) -> None:
    run(lines(tmp_path / "a", report(), report("r-2", capture_bodies="none")), tmp_path / "a.db")
    summary = run(tmp_path / "a.db", tmp_path / "b.db")
    assert (summary.new, summary.rejected) == (1, 1)
    assert summary.errors == [("call r-2", "The call's bodies weren't kept, so there is nothing to read")]


# ── Files ───────────────────────────────────────────────────────────────────────────────


def test_a_bad_line_is_reported_by_its_number_and_the_rest_goes_on(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", report("1"), "{", "", '{"model": "x"}', "[1]", b"\xff\xfe", report("2"))
    summary = run(file, tmp_path / "a.db")
    assert (summary.read, summary.new, summary.rejected) == (6, 2, 4)
    assert [place for place, _ in summary.errors] == ["line 2", "line 4", "line 5", "line 6"]
    assert "request_body" in summary.errors[1][1]


def test_a_report_that_says_base64_and_is_not_is_rejected(tmp_path: Path) -> None:
    summary = run(lines(tmp_path / "a", exchange(response_body_encoding="base64")), tmp_path / "a.db")
    assert summary.errors == [("line 1", "response_body says it is base64 and isn't")]


def test_the_kind_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "lines.db").write_bytes(gzip.compress(exchange().encode()))
    shutil.copy(seed(tmp_path / "s", (1.0, None, PATH, REQUEST, REPLY)), tmp_path / "seed.jsonl.gz")
    assert run(tmp_path / "lines.db", tmp_path / "a.db").new == 1
    assert run(tmp_path / "seed.jsonl.gz", tmp_path / "a.db").new == 1
    shutil.copy(tmp_path / "a.db", tmp_path / "ours.jsonl")
    assert run(tmp_path / "ours.jsonl", tmp_path / "b.db").new == 2


def test_a_damaged_gzip_keeps_what_came_before_the_damage(tmp_path: Path) -> None:
    whole = gzip.compress("".join(report(f"r-{number}") + "\n" for number in range(5000)).encode())
    (tmp_path / "a.gz").write_bytes(whole[: len(whole) // 2])
    summary = run(tmp_path / "a.gz", tmp_path / "a.db")
    assert 0 < summary.new < 5000
    assert summary.rejected == 1
    assert "can't be read any further" in summary.errors[0][1]


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", report("1"), "x" * 5_000_000, report("2"))
    summary = run(file, tmp_path / "a.db", max_line=2000)
    assert summary.new == 2
    assert summary.errors == [("line 2", "The line is longer than 2000 bytes")]


def test_only_the_first_errors_are_kept_however_many_there_are(tmp_path: Path) -> None:
    summary = run(lines(tmp_path / "a", *["{"] * 1000), tmp_path / "a.db")
    assert (summary.rejected, len(summary.errors)) == (1000, 100)


def test_a_file_that_is_not_there_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="No such file"):
        run(tmp_path / "absent", tmp_path / "a.db")


# ── A running collector ─────────────────────────────────────────────────────────────────


def test_a_running_collector_counts_a_replay_once(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", *(exchange(f"e-{number}") for number in range(250)), "{")
    with collector.running(tmp_path) as running:
        for new in (250, 0):
            summary = run(file, running.url)
            assert (summary.new, summary.duplicates, summary.rejected) == (new, 250 - new, 1)
            assert summary.tokens is None
        assert running.sample("gen_ai_client_inference_usage_output_tokens_total") == 3 * 250
        assert running.call("e-249")["input_tokens"] == 7


def test_losses_that_a_plugin_told_of_then_are_not_told_again(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", report(source={"boot": "b", "sequence": 9, "dropped": 5, "failed": 5}))
    with collector.running(tmp_path) as running:
        assert run(file, running.url).new == 1
        assert running.sample("llmtoken_plugin_dropped_total") == 0


def test_a_batch_that_is_too_large_for_the_collector_is_sent_in_parts(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", *(report(f"r-{number}") for number in range(20)), report("big", path="/" + "x" * 8000))
    with collector.running(tmp_path, max_request_bytes=6000) as running:
        summary = run(file, running.url)
    assert (summary.new, summary.rejected) == (20, 1)
    assert summary.errors[0][0] == "line 21"


def test_a_collector_that_asks_for_a_token_gets_the_configured_one(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", report())
    with collector.running(tmp_path, token="t") as running:
        with pytest.raises(Unauthorized):
            run(file, running.url)
        assert run(file, f"{running.url}/api/report", token="t").new == 1


def test_a_collector_that_is_not_there_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="Can't reach"):
        run(lines(tmp_path / "a", report()), "http://127.0.0.1:1")


def test_something_that_is_no_collector_is_our_error(tmp_path: Path) -> None:
    with answering((404, "what?")) as url, pytest.raises(ReplayError, match="answers 404"):
        run(lines(tmp_path / "a", report()), url)


def test_a_collector_that_is_full_is_asked_again_when_it_says(tmp_path: Path) -> None:
    taken = (200, json.dumps({"status": "ok", "accepted": 1, "duplicates": 0, "rejected": []}))
    with answering((429, ""), (503, ""), taken) as url:
        assert run(lines(tmp_path / "a", report()), url).new == 1


@contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[str]:
    """A server that gives these answers one after the other, then the last one again."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("retry-after", "0")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


# ── The command ─────────────────────────────────────────────────────────────────────────


def test_the_command_says_what_became_of_everything_and_nothing_else_on_a_pipe(tmp_path: Path) -> None:
    done = llmtoken("replay", lines(tmp_path / "a", report(), exchange()), "--to", tmp_path / "a.db", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said.pop("seconds") > 0
    assert said == {
        "read": 2,
        "new": 2,
        "duplicates": 0,
        "rejected": 0,
        "tokens": {"input_tokens": 14, "output_tokens": 6, "total_tokens": 20},
        "usage_sources": {"reported": 2},
        "problems": {},
        "errors": [],
    }


def test_the_command_ends_with_1_when_something_was_rejected(tmp_path: Path) -> None:
    file = lines(tmp_path / "a", report(), "{")
    done = llmtoken("replay", file, "--to", tmp_path / "a.db")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{file}, line 2: The report isn't JSON")
    assert done.stdout.startswith("2 read: 1 new, 0 known already, 1 rejected")


def test_the_command_ends_with_2_when_it_can_not_begin(tmp_path: Path) -> None:
    done = llmtoken("replay", tmp_path / "absent", "--to", tmp_path / "a.db")
    assert done.returncode == 2
    assert "No such file" in done.stderr
    assert not (tmp_path / "a.db").exists()


@needs_terminal
def test_the_command_shows_progress_on_a_terminal(tmp_path: Path) -> None:
    shown = shown_on_a_terminal("replay", corpus(), "--to", tmp_path / "a.db")
    assert b"exchanges," in shown
    assert b"/s" in shown
