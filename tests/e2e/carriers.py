"""The ways in which a secret gets into a call: each makes a request and the reply to it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from support.captured import message
from support.exchanges import ndjson, sse

JSON = "application/json"
STREAM = "text/event-stream"


@dataclass(frozen=True)
class Exchange:
    """A request, and what the upstream says to it."""

    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Say it."}]}'
    content_type: str = JSON
    status: int = 200
    reply: bytes = (
        b'{"model": "gpt-4o", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", '
        b'"content": "It."}}], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}'
    )
    reply_type: str = JSON
    reply_headers: dict[str, str] = field(default_factory=dict)


Carrier = Callable[[str], Exchange]


def _asking(content: Any, **more: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **more}).encode()


def _said(message_: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message_}}
    return json.dumps({"id": "c", "model": "gpt-4o", "choices": [choice], **more}).encode()


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _deltas(deltas: list[dict[str, Any]]) -> bytes:
    return sse(
        [{"id": "c", "model": "gpt-4o", "choices": [{"index": 0, "delta": d}]} for d in deltas] + ["[DONE]"]
    ).encode()


def _content_stream(size: int) -> Carrier:
    def carry(secret: str) -> Exchange:
        pieces = _pieces(f"I say {secret}, of course.", size)
        return Exchange(reply=_deltas([{"content": piece} for piece in pieces]), reply_type=STREAM)

    return carry


def _tool_stream(secret: str) -> Exchange:
    arguments = json.dumps({"query": f"use {secret} now", "nested": json.dumps({"again": secret})})
    deltas = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in _pieces(arguments, 5)]
    return Exchange(reply=_deltas(deltas), reply_type=STREAM)


def _anthropic_stream(secret: str) -> Exchange:
    events = [{"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 9}}}]
    for kind, text in (
        ("thinking", f"hm {secret} hm"),
        ("text", f"yes {secret}."),
        ("partial_json", json.dumps([secret])),
    ):
        name = {"partial_json": "input_json_delta"}.get(kind, f"{kind}_delta")
        events += [
            {"type": "content_block_delta", "index": 0, "delta": {"type": name, kind: piece}}
            for piece in _pieces(text, 7)
        ]
    events += [{"type": "message_delta", "usage": {"output_tokens": 7}}, {"type": "message_stop"}]
    return Exchange(path="/v1/messages", reply=sse(events).encode(), reply_type=STREAM)


def _aws_stream(secret: str) -> Exchange:
    events = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in _pieces(f"it is {secret} here", 9)
    ]
    wrapped = [{"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abc"} for event in events]
    body = b"".join(message(json.dumps(each).encode(), event_type="chunk", message_type="event") for each in wrapped)
    return Exchange(
        path="/model/anthropic.claude-3-haiku/invoke-with-response-stream",
        reply=body,
        reply_type="application/vnd.amazon.eventstream",
    )


def _aws_error(secret: str) -> Exchange:
    said = message(b"", message_type="error", error_code="x", error_message=f"not for {secret}")
    return Exchange(path="/model/m/converse-stream", reply=said, reply_type="application/vnd.amazon.eventstream")


def _file(secret: str) -> Exchange:
    file = base64.b64encode(f"# settings\nkey: {secret}\n# end of settings\n".encode()).decode()
    parts = [{"type": "file", "file": {"filename": "a.txt", "file_data": f"data:text/plain;base64,{file}"}}]
    return Exchange(body=_asking(parts))


def _multipart(secret: str) -> Exchange:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + secret.encode() + b"\r\n--x\r\n"
        b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\x00\xff\xfe\x80\r\n--x--\r\n'
    )
    return Exchange("/v1/audio/transcriptions", body=body, content_type="multipart/form-data; boundary=x")


def _gzipped(secret: str) -> Exchange:
    return Exchange(reply=gzip.compress(_said({"content": secret})), reply_headers={"Content-Encoding": "gzip"})


def _cut(secret: str) -> Exchange:
    body = _content_stream(6)(secret).reply
    return Exchange(reply=body[: body.rindex(b", of course") - 1 if b", of course" in body else -60], reply_type=STREAM)


def _batch(secret: str) -> Exchange:
    lines = [{"message": {"content": piece}, "model": "m", "done": False} for piece in _pieces(f"a {secret} b", 4)]
    done = {"model": "m", "done": True, "prompt_eval_count": 9, "eval_count": 4}
    return Exchange("/api/chat", reply=ndjson([*lines, done]).encode(), reply_type="application/x-ndjson")


EVERYWHERE: dict[str, Carrier] = {
    "prompt": lambda s: Exchange(body=_asking(f"My key:\n{s}\nPlease use it.")),
    "system prompt with escapes": lambda s: Exchange(body=_asking(f'Say "{s}"\t\\ or é'), status=200),
    "parts of a message": lambda s: Exchange(
        body=_asking([{"type": "text", "text": f"it is {s[:7]}"}, {"type": "text", "text": f"{s[7:]}."}])
    ),
    "json in json": lambda s: Exchange(body=_asking(json.dumps({"a": json.dumps({"b": f"x {s} y"})}))),
    "tool definition": lambda s: Exchange(
        body=_asking("hi", tools=[{"type": "function", "function": {"name": "f", "description": s}}])
    ),
    "tool result": lambda s: Exchange(
        body=json.dumps(
            {"model": "gpt-4o", "messages": [{"role": "tool", "content": json.dumps({"stdout": f"KEY={s}\n"})}]}
        ).encode()
    ),
    "reply": lambda s: Exchange(reply=_said({"content": f"Here: {s}"})),
    "tool call": lambda s: Exchange(
        reply=_said({"tool_calls": [{"function": {"name": "f", "arguments": json.dumps({"k": s})}}]})
    ),
    "stream, a character each": _content_stream(1),
    "stream, pieces": _content_stream(4),
    "stream, large pieces": _content_stream(25),
    "stream, tool arguments": _tool_stream,
    "stream, Anthropic": _anthropic_stream,
    "stream, lines": _batch,
    "stream, AWS": _aws_stream,
    "stream, cut": _cut,
    "stream, a comment": lambda s: Exchange(
        reply=f": {s.splitlines()[0]}\n\n".encode() + _content_stream(4)(s).reply, reply_type=STREAM
    ),
    "error as JSON": lambda s: Exchange(
        status=401,
        reply=json.dumps({"error": {"message": f"Incorrect API key provided: {s}", "type": "auth"}}).encode(),
    ),
    "error as a page": lambda s: Exchange(
        status=502, reply=f"<html>no route to {s} found</html>".encode(), reply_type="text/html"
    ),
    "error in a stream": lambda s: Exchange(
        reply=sse([{"choices": []}, {"error": {"message": f"bad {s}"}}]).encode(), reply_type=STREAM
    ),
    "error of AWS": _aws_error,
    "file in base64": _file,
    "form with a file": _multipart,
    "form": lambda s: Exchange(
        "/v1/completions",
        body=f"model=gpt-4o&prompt={quote(s)}".encode(),
        content_type="application/x-www-form-urlencoded",
    ),
    "compressed reply": _gzipped,
    "plain text": lambda s: Exchange("/hello", body=f"hello {s} there".encode(), content_type="text/plain"),
}
"""For a secret of any kind."""

IN_A_LINE: dict[str, Carrier] = {
    "authorization": lambda s: Exchange(headers={"Authorization": f"Bearer {s}", "X-Api-Key": s, "Cookie": f"a={s}"}),
    "another header": lambda s: Exchange(headers={"X-Debug": s, "User-Agent": s}),
    "header of the reply": lambda s: Exchange(reply_headers={"X-Request-Id": s, "Set-Cookie": f"a={s}", "Server": s}),
    "consumer": lambda s: Exchange(headers={"X-Consumer": s}),
    "path": lambda s: Exchange(path=f"/v1/users/{quote(s, safe='')}/chat/completions"),
    "query": lambda s: Exchange(path=f"/v1/chat/completions?model={quote(s, safe='')}&key={quote(s, safe='')}"),
    "model": lambda s: Exchange(
        body=json.dumps({"model": s, "messages": []}).encode(),
        reply=_said({"content": "x"}).replace(b'"gpt-4o"', json.dumps(s).encode()),
    ),
    "ids and reasons": lambda s: Exchange(
        reply=json.dumps(
            {
                "id": s,
                "model": "gpt-4o",
                "service_tier": s,
                "choices": [{"finish_reason": s, "message": {"content": "x"}}],
            }
        ).encode()
    ),
    "kind of error": lambda s: Exchange(
        status=400, reply=json.dumps({"error": {"type": s, "code": s, "message": s}}).encode()
    ),
}
"""For a secret without line ends."""
