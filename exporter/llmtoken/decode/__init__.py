r"""Captured bytes → text → events: what a report's bodies hold, whatever they were wrapped in.

Owns content codings, charsets and framings, and the names of what can be wrong with them. It
never raises for a valid report: damage is recorded and what is left is kept. Time and memory
are bounded by `max_body_bytes` and the limits in `body`, `frames` and `content`.
Must not know providers or what values mean.

How a body is framed:

- A JSON value is `json`. So is an HTML form: `form` says how it becomes an object. Of JSON
  that was cut the members that arrived are kept, and `truncated` is set.
- Several values are a stream: `sse`, `ndjson`, `aws_event_stream`. In a reply, any array of
  objects is a `json_array`, because only the API knows whether that is a stream or one value.
- Anything else is `text`, `binary` or `empty`.
"""

from __future__ import annotations

from typing import Final

from llmtoken.decode import body
from llmtoken.exchange import Exchange
from llmtoken.report import Report

__all__ = ["PROBLEMS", "decode"]

PROBLEMS: Final[dict[str, str]] = {
    "charset": "text isn't in its character set; U+FFFD stands for what is lost",
    "content_encoding": "the content coding is unknown, damaged or stacked too high",
    "request_json": "the request says or looks like JSON or a form, and isn't, or ends too early",
    "response_json": "the reply says or looks like JSON, and isn't, or ends too early",
    "stream_frame": "a frame of a stream is damaged: a wrong checksum, length or separator",
    "stream_json": "an event's data begins like JSON and isn't",
    "too_large": "the body passes a size limit; what is behind it wasn't read",
}
"""What can be wrong with a body, and what it means. The names are a metric's label."""


def decode(report: Report, *, max_body_bytes: int) -> Exchange:
    """Both bodies of a report, decoded. `max_body_bytes` caps each of them, unpacked."""
    path, _, query = (report.path or "").partition("?")
    request_headers = _lower(report.request_headers)
    response_headers = _lower(report.response_headers)
    return Exchange(
        method=report.method,
        path=path,
        query=report.query or query,
        host=report.host,
        upstream=report.upstream,
        provider=report.provider,
        status=report.status,
        aborted=report.aborted,
        request_headers=request_headers,
        response_headers=response_headers,
        request=body.read(report, "request", request_headers, limit=max_body_bytes),
        response=body.read(report, "response", response_headers, limit=max_body_bytes),
        duration=report.elapsed_time,
        time_to_first_byte=report.time_to_first_byte,
        timeline=tuple(report.timeline),
    )


def _lower(headers: dict[str, str]) -> dict[str, str]:
    for name in headers:
        if not name.islower():
            return {name.lower(): value for name, value in headers.items()}
    return headers  # as our plugin sends them
