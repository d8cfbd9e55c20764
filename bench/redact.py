"""What redaction costs a report: CPU time of reading it with and without, in turns.

    .venv/bin/python bench/redact.py

Both are measured in the same rounds, so their ratio holds on a busy machine; the times are the best of all rounds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from extract import CASES, chat, report
from llmtoken import config, reading
from llmtoken.count import Counter
from llmtoken.redact import Redactor
from llmtoken.report import Report

ROUNDS, REPEATS = 15, 20
SENT = "Write to alice@example.org or +49 170 1234567. "


def asking(content: str) -> Report:
    body = {"model": "gpt-x", "messages": [{"role": "user", "content": content}]}
    return report("/v1/chat/completions", body, chat().response_body, "application/json")


def saying(extra: str) -> Report:
    stream = CASES["chat stream, 200 chunks"]
    body = stream.response_body.replace('" word"', json.dumps(extra), 1)
    return report("/v1/chat/completions", json.loads(stream.request_body), body, "text/event-stream")


ALL = {
    **{name: one for name, one in CASES.items() if "2000" not in name},
    "prompt of 250 KB": asking("The quick brown fox jumps.\n" * 9500),
    "prompt with two findings": asking(SENT * 1 + "Tell me a story. " * 20),
    "stream with a finding": saying(" alice@example.org"),
}
WITH = {
    "none": None,
    "secrets": Redactor(("secrets",), {}),
    "secrets, pii": Redactor(("secrets", "pii"), {}),
}


def microseconds(one: Report, redactor: Redactor | None, counter: Counter, settings: config.Settings) -> float:
    began = time.thread_time()
    for _ in range(REPEATS):
        reading.read(one, settings, counter, redactor)
    return (time.thread_time() - began) / REPEATS * 1e6


def main() -> None:
    settings, counter = config.load(), Counter()
    print(f"{'':30}" + "".join(f"{name:>16}" for name in WITH) + f"{'ratios':>18}")
    for name, one in ALL.items():
        best = dict.fromkeys(WITH, float("inf"))
        for _ in range(ROUNDS):
            for key, redactor in WITH.items():
                best[key] = min(best[key], microseconds(one, redactor, counter, settings))
        ratios = [best[key] / best["none"] for key in list(WITH)[1:]]
        print(f"{name:30}" + "".join(f"{best[key]:13.1f} µs" for key in WITH) + "".join(f"{r:9.2f}" for r in ratios))


if __name__ == "__main__":
    main()
