"""What a committed report costs, beside the seed: `python bench/collector.py [--seconds S] [--rounds N] …`.

Runs the collector and the seed's app (its Python files, taken out of ../shared/seed) as processes of their own on the
same disk, and sends both the same reports in turn. Small and large exchanges, with the provider's
usage and without (then both count tokens), one a request and, for the collector, 50 a request. CPU is the server
process's own, and what counts is rows in the database, not answers. The floor is what can't be saved: parsing,
reading (counting included) and inserting, in this process, without HTTP, threads or metrics.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from llmtoken import audit, config, payload, reading
from llmtoken.count import Counter

SEED = Path(__file__).resolve().parents[2] / "shared" / "seed"
BATCH = 50
SINGLE_CONNECTIONS, BATCH_CONNECTIONS = 16, 4
GOALS = {  # how many times less CPU than the seed: one a request, 50 a request
    "small, usage": (10, 35),
    "small, to count": (3, 7),
    "large, usage": (10, 22),
    "large, to count": (1, 1),
}

_WORDS = (
    "the model reads every word of this prompt before it writes the first one of its answer, and the meter in "
    "between must neither slow it down nor lose count; "
)


def exchange(size: int, reply: int, *, usage: bool) -> bytes:
    """A report as the plugin sends it; `@ID@` stands for its identity."""
    prompt = (_WORDS * (size // len(_WORDS) + 1))[:size]
    answer: dict[str, object] = {
        "id": "chatcmpl-@ID@",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": (_WORDS * (reply // len(_WORDS) + 1))[:reply]},
            }
        ],
    }
    if usage:
        answer["usage"] = {"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40}
    messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}]
    report = {
        "version": 1,
        "request_id": "@ID@",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "method": "POST",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "status": 200,
        "elapsed_time": 1.25,
        "time_to_first_byte": 1.2,
        "request_headers": {"content-type": "application/json", "user-agent": "OpenAI/Python 1.70.0"},
        "response_headers": {"content-type": "application/json"},
        "request_bytes": size + 100,
        "response_bytes": reply + 300,
        "timeline": [[reply + 300, 1.25]],
        "consumer": "team-a",
        "middleware": "tokenizer@file",
        "source": {"boot": "bench", "sequence": 1},
        "request_body": json.dumps({"model": "gpt-4o", "messages": messages}),
        "response_body": json.dumps(answer),
    }
    return json.dumps(report).encode()


CASES = {
    "small, usage": exchange(300, 200, usage=True),
    "small, to count": exchange(300, 200, usage=False),
    "large, usage": exchange(32_000, 4_000, usage=True),
    "large, to count": exchange(32_000, 4_000, usage=False),
}


# ── Servers ─────────────────────────────────────────────────────────────────────────────

_START_SEED = """
import sys, tiktoken.registry, uvicorn
from llmtoken.count import encodings
tiktoken.registry.ENCODINGS["cl100k_base"] = encodings.load("cl100k_base")  # which it would download
from main import app
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


@dataclass
class Server:
    name: str
    port: int
    database: Path
    table: str
    process: subprocess.Popen[bytes] = field(repr=False)

    def cpu(self) -> float:
        """CPU seconds that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rows(self) -> int:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {self.table}").fetchone()[0])  # noqa: S608


def seed_files(folder: Path) -> None:
    """Write the seed's Python files: each stands in a fence under a heading with its name."""
    pages = sorted(SEED.glob("*.txt"))
    if not pages:
        sys.exit(f"The seed isn't in {SEED}")
    text = pages[0].read_text("utf-8")
    for name in ("main.py", "database.py", "token_utils.py"):
        found = re.search(rf"`{re.escape(name)}`\s*```python\n(.*?)```", text, re.DOTALL)
        if found is None:
            sys.exit(f"{pages[0]} has no {name}")
        (folder / name).write_text(found.group(1), "utf-8")


@contextmanager
def running(name: str, folder: Path) -> Iterator[Server]:
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    if name == "seed":
        seed_files(folder)
        command, database, table = [sys.executable, "-c", _START_SEED, str(port)], "token_stats.db", "token_stats"
    else:
        command = [sys.executable, "-m", "llmtoken", "serve", f"--port={port}", "--database=llmtoken.db"]
        database, table = "llmtoken.db", "calls"
    source = str(Path(__file__).resolve().parents[1] / "exporter")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), source]), "PYTHONWARNINGS": "ignore"}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        sys.exit((folder / "log").read_text("utf-8", "replace"))
                    time.sleep(0.05)
            yield Server(name, port, folder / database, table, process)
        finally:
            process.terminate()


# ── Load ────────────────────────────────────────────────────────────────────────────────


def request(template: bytes, batch: int) -> bytes:
    """An HTTP request with fresh reports. Ids grow, as the plugin's do."""
    boot = f"{time.time_ns():x}-{uuid4().hex[:6]}"
    reports = [template.replace(b"@ID@", f"{boot}-{number}".encode()) for number in range(batch)]
    body = b"\n".join(reports)
    kind = b"application/json" if batch == 1 else b"application/x-ndjson"
    head = b"POST /api/report HTTP/1.1\r\nhost: bench\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


def post(connection: socket.socket, message: bytes) -> None:
    connection.sendall(message)
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(f"refused: {data!r}")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    length = int(found.group(1)) if found else 0
    while len(body) < length:
        body += connection.recv(65536)


def measure(server: Server, template: bytes, batch: int, seconds: float) -> tuple[float, float]:
    """Load for some seconds: CPU µs a committed report, committed reports a second."""
    stop = time.monotonic() + seconds

    def send() -> None:
        with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.monotonic() < stop:
                post(connection, request(template, batch))

    threads = [threading.Thread(target=send) for _ in range(SINGLE_CONNECTIONS if batch == 1 else BATCH_CONNECTIONS)]
    rows, cpu, began = server.rows(), server.cpu(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, used, more = time.monotonic() - began, server.cpu() - cpu, server.rows() - rows
    return used / more * 1e6, more / wall


def floor(folder: Path, template: bytes, count: int) -> float:
    """CPU µs a report of parsing, reading and inserting in groups of `BATCH`, in this process and thread."""
    settings, counter = config.load(None), Counter()
    reading.warm_up(settings)
    bodies = [request(template, BATCH).partition(b"\r\n\r\n")[2] for _ in range(max(count // BATCH, 2))]
    with audit.open(str(folder / f"floor-{uuid4().hex}.db")) as store:
        began = time.process_time()
        for body in bodies:
            content = payload.parse(body, form="lines", gzipped=False, limit=1 << 30)
            store.write([reading.read(report, settings, counter).record for report in content.reports])
        return (time.process_time() - began) / store.count() * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="load for each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, in turn (default: %(default)s)")
    parser.add_argument("--only", default="", help="only cases with this in their name")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running("seed", Path(folder) / "seed") as seed,
        running("llmtoken", Path(folder) / "llmtoken") as ours,
    ):
        print("CPU µs a committed report (committed reports/s); medians of", options.rounds)
        print(f"{'':16} {'seed':>14} {'single':>14} {'batch 50':>15} {'floor':>6}  single batch  batch/floor")
        for name, template in CASES.items():
            if options.only not in name:
                continue
            measure(seed, template, 1, 0.3)  # tables and caches
            measure(ours, template, 1, 0.3)
            runs: dict[str, list[tuple[float, float]]] = {"seed": [], "single": [], "batch": []}
            floors = []
            for _ in range(options.rounds):
                runs["seed"].append(measure(seed, template, 1, options.seconds))
                runs["single"].append(measure(ours, template, 1, options.seconds))
                runs["batch"].append(measure(ours, template, BATCH, options.seconds))
                floors.append(floor(Path(folder), template, 500 if "large" in name else 2000))
            cpu = {who: statistics.median(each[0] for each in found) for who, found in runs.items()}
            speed = {who: statistics.median(each[1] for each in found) for who, found in runs.items()}
            least = statistics.median(floors)
            shown = " ".join(f"{cpu[who]:>6.0f} ({speed[who]:>5.0f})" for who in runs)
            times = [cpu["seed"] / cpu[who] for who in ("single", "batch")]
            print(
                f"{name:16} {shown} {least:>6.0f}  {times[0]:5.1f}x {times[1]:5.1f}x {cpu['batch'] / least:9.2f}"
                f"   (goal {GOALS[name][0]}x, {GOALS[name][1]}x, 1.5)",
                flush=True,
            )


if __name__ == "__main__":
    main()
