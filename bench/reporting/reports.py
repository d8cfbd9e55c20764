"""Reports as the plugin sends them, and the HTTP requests that carry them."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Sequence
from itertools import count
from uuid import uuid4

_WORDS = (
    "the model reads every word of this prompt before it writes the first one of its answer, and the meter in "
    "between must neither slow it down nor lose count; "
)


def exchange(size: int, reply: int, *, usage: bool, model: str = "gpt-4o", consumer: str = "team-a") -> bytes:
    """A template of a report as the plugin sends it: of those that a `Plugin` makes of it no two texts are alike."""
    prompt, answered = _text("Question", size), _text("Answer", reply)
    answer: dict[str, object] = {
        "id": "chatcmpl-@REPLY@",
        "object": "chat.completion",
        "created": 1767225600,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": answered},
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
        "consumer": consumer,
        "middleware": "tokenizer@file",
        "source": {"boot": "@BOOT@", "sequence": "@SEQUENCE@"},
        "request_body": json.dumps({"model": model, "messages": messages}),
        "response_body": json.dumps(answer),
    }
    return json.dumps(report).encode()


def _text(name: str, size: int) -> str:
    return f"{name} @ID@: {_WORDS * (size // len(_WORDS) + 1)}"[:size]


CASES = {
    "small, usage": exchange(300, 200, usage=True),
    "small, to count": exchange(300, 200, usage=False),
    "large, usage": exchange(32_000, 4_000, usage=True),
    "large, to count": exchange(32_000, 4_000, usage=False),
}


class Plugin:
    """A plugin that reports: its numbers grow, and so do its reports' identities; ids of replies are random."""

    def __init__(self) -> None:
        self._boot = f"{time.time_ns():x}-{uuid4().hex[:6]}"
        self._numbers = count(1)

    def request(self, templates: Sequence[bytes]) -> bytes:
        """An HTTP request with a fresh report of each."""
        body = b"\n".join(map(self._report, templates))
        kind = b"application/json" if len(templates) == 1 else b"application/x-ndjson"
        head = b"POST /api/report HTTP/1.1\r\nhost: bench\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        return head % (kind, len(body)) + body

    def _report(self, template: bytes) -> bytes:
        number = next(self._numbers)
        for name, value in (
            ("@ID@", f"{self._boot}-{number}"),
            ("@BOOT@", self._boot),
            ('"@SEQUENCE@"', str(number)),
            ("@REPLY@", uuid4().hex),
        ):
            template = template.replace(name.encode(), value.encode())
        return template


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
