"""CPU of decoding, in microseconds a report: `.venv/bin/python bench/decode.py`.

The goal (DESIGN §9, issue 3): a 2 KB JSON reply within 20, a stream of 200 chunks within 350,
so that reading the whole report stays within 60 and 500.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import time
import timeit
import zlib
from collections.abc import Callable

from llmtoken.decode import decode
from llmtoken.report import Report

CHUNKS = 200
REQUEST = json.dumps(
    {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Tell me about proxies. " * 8}]}
)
REPLY = json.dumps(
    {
        "id": "chatcmpl-AbCdEf",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 330}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 61, "completion_tokens": 330, "total_tokens": 391},
    }
)
CHUNK = json.dumps(
    {
        "id": "chatcmpl-AbCdEf",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}],
    },
    separators=(",", ":"),
)
DELTA = json.dumps({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word"}})
SSE = f"data: {CHUNK}\n\n" * CHUNKS + "data: [DONE]\n\n"


def message(payload: bytes) -> bytes:
    """One Amazon event stream message."""
    name = b"\x0b:event-type\x07\x00\x05chunk"
    prelude = struct.pack(">II", 16 + len(name) + len(payload), len(name))
    framed = prelude + struct.pack(">I", zlib.crc32(prelude)) + name + payload
    return framed + struct.pack(">I", zlib.crc32(framed))


def report(response: str | bytes, headers: dict[str, str]) -> Report:
    """A report of one chat call with this reply."""
    binary = isinstance(response, bytes)
    return Report(
        request_body=REQUEST,
        request_headers={"content-type": "application/json", "user-agent": "OpenAI/Python"},
        response_body=base64.b64encode(response).decode() if isinstance(response, bytes) else response,
        response_body_encoding="base64" if binary else "text",
        response_headers=headers,
        elapsed_time=1.0,
        method="POST",
        path="/v1/chat/completions",
        status=200,
    )


SSE_HEADERS = {"content-type": "text/event-stream; charset=utf-8"}
JSON_HEADERS = {"content-type": "application/json"}
CASES = {
    "2 KB JSON": report(REPLY, JSON_HEADERS),
    "2 KB JSON, gzip": report(gzip.compress(REPLY.encode()), JSON_HEADERS | {"content-encoding": "gzip"}),
    f"SSE, {CHUNKS} chunks": report(SSE, SSE_HEADERS),
    f"SSE, {CHUNKS} chunks, CRLF": report(SSE.replace("\n", "\r\n"), SSE_HEADERS),
    f"SSE, {CHUNKS} chunks, gzip": report(gzip.compress(SSE.encode()), SSE_HEADERS | {"content-encoding": "gzip"}),
    f"SSE, {CHUNKS} named events": report(f"event: content_block_delta\ndata: {DELTA}\n\n" * CHUNKS, SSE_HEADERS),
    f"NDJSON, {CHUNKS} lines": report(f"{CHUNK}\n" * CHUNKS, {"content-type": "application/x-ndjson"}),
    f"JSON array, {CHUNKS} elements": report("[" + ",\r\n".join([CHUNK] * CHUNKS) + "]", JSON_HEADERS),
    f"AWS event stream, {CHUNKS} messages": report(
        message(json.dumps({"bytes": base64.b64encode(DELTA.encode()).decode()}).encode()) * CHUNKS,
        {"content-type": "application/vnd.amazon.eventstream"},
    ),
}


def microseconds(work: Callable[[], object]) -> float:
    """The best of several rounds, with garbage collection: what the code costs, not what else the machine does."""
    timer = timeit.Timer(work, "import gc; gc.enable()", timer=time.process_time)
    number, _ = timer.autorange()
    return min(timer.repeat(5, number)) / number * 1e6


def main() -> None:
    for name, case in CASES.items():
        print(f"{name:36} {microseconds(lambda case=case: decode(case, max_body_bytes=64 * 1024 * 1024)):8.1f} µs")


if __name__ == "__main__":
    main()
