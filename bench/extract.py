"""What reading costs: decode and extract, in microseconds a report.

    .venv/bin/python bench/extract.py

The goals are 60 µs for a reply of 2 KB that says its usage, and 500 µs for a stream of 200 chunks.
"""

from __future__ import annotations

import json
import re
import timeit
from typing import Any

from llmtoken.decode import decode
from llmtoken.extract import extract
from llmtoken.report import Report

LIMIT = 64 * 1024 * 1024
REPEATS = 7


def report(path: str, request: Any, reply: str, content_type: str) -> Report:
    return Report(
        version=1,
        method="POST",
        host="localhost:8088",
        upstream="10.0.0.7:8000",
        path=path,
        status=200,
        request_body=json.dumps(request),
        response_body=reply,
        response_headers={"content-type": content_type},
        elapsed_time=1.0,
        time_to_first_byte=0.1,
        timeline=timeline(reply),
        aborted="",
    )


def timeline(reply: str) -> list[tuple[int, float]]:
    """A write for every event, as many of them as the plugin keeps."""
    ends = [found.end() for found in re.finditer("\n\n", reply)]
    return [(end, 0.1 + number / 1000) for number, end in enumerate(ends)][-1024:]


def sse(events: list[Any], *, named: bool = False) -> str:
    return "".join((f"event: {e['type']}\n" if named else "") + f"data: {json.dumps(e)}\n\n" for e in events)


def chat() -> Report:
    usage = {
        "prompt_tokens": 812,
        "completion_tokens": 301,
        "total_tokens": 1113,
        "prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
    }
    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-x-2025-01-01",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 300}, "finish_reason": "stop"}],
        "usage": usage,
    }
    return report("/v1/chat/completions", ask(), json.dumps(reply), "application/json")


def ask() -> dict[str, Any]:
    return {"model": "gpt-x", "stream": True, "messages": [{"role": "user", "content": "Tell me a story. " * 20}]}


def chat_stream(chunks: int) -> Report:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "gpt-x"}
    body = [
        {**head, "choices": [{"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}]}
        for _ in range(chunks - 2)
    ]
    end = [
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {
            **head,
            "choices": [],
            "usage": {"prompt_tokens": 90, "completion_tokens": chunks, "total_tokens": 90 + chunks},
        },
    ]
    return report("/v1/chat/completions", ask(), sse(body + end) + "data: [DONE]\n\n", "text/event-stream")


def anthropic_stream(chunks: int) -> Report:
    start = {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "model": "claude-x",
            "usage": {"input_tokens": 90, "output_tokens": 1},
        },
    }
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word"}}
        for _ in range(chunks - 3)
    ]
    end = [
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": chunks}},
        {"type": "message_stop"},
    ]
    return report("/v1/messages", ask(), sse([start, *deltas, *end], named=True), "text/event-stream")


CASES = {
    "chat reply, 2 KB": chat(),
    "chat stream, 200 chunks": chat_stream(200),
    "chat stream, 2000 chunks": chat_stream(2000),
    "messages stream, 200 events": anthropic_stream(200),
}


def microseconds(action: Any) -> float:
    """The best of several rounds: the others measure the machine's other work."""
    timer = timeit.Timer(action)
    number, _ = timer.autorange()
    return min(timer.repeat(REPEATS, number)) / number * 1e6


def main() -> None:
    print(f"{'':30}{'decode':>10}{'extract':>10}{'together':>10}   µs")
    for name, one in CASES.items():
        exchange = decode(one, max_body_bytes=LIMIT)
        assert extract(exchange).inference.usage.source == "reported", name
        decoding = microseconds(lambda one=one: decode(one, max_body_bytes=LIMIT))
        reading = microseconds(lambda exchange=exchange: extract(exchange))
        print(f"{name:30}{decoding:10.1f}{reading:10.1f}{decoding + reading:10.1f}")


if __name__ == "__main__":
    main()
