"""One exchange, decoded: what decoding gives and reading takes.

A `Body` is text, a JSON value, or a list of events, whatever its framing was; an
`Exchange` is both bodies with the request line, status and headers around them. Made by
`decode`, read by `extract`. Must not know providers.

These and what is read from them are msgspec's structs: a frozen dataclass takes five times as long to make.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Framing = Literal["empty", "json", "sse", "ndjson", "json_array", "aws_event_stream", "text", "binary"]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream.

    `data` is the payload parsed as JSON, or the text itself where it isn't JSON (`[DONE]`).
    `name` is the SSE `event:` or the AWS `:event-type`/`:exception-type`, if any.
    `end` is how many bytes of the body, as it went over the wire, had passed when this
    event was whole; `None` when the body was compressed and offsets mean nothing.

    Long streams make thousands of them. Payloads hold no events, so the garbage collector needn't look.
    """

    data: Any
    name: str | None = None
    end: int | None = None


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A captured body after decompression, charset and framing."""

    framing: Framing = "empty"
    text: str = ""
    """The body as text for the audit: decompressed; base64 where it is binary."""
    encoded: bool = False
    """Whether `text` is base64."""
    json: Any = None
    """The parsed value when `framing` is `json`; the list of elements when it is `json_array`, because
    only the API knows whether a list of objects is a stream or one reply."""
    events: tuple[Event, ...] = ()
    """The events when `framing` is a stream's."""
    truncated: bool = False
    """The capture stopped at its limit, or the last event or the compressed stream is cut."""
    problems: tuple[str, ...] = ()
    """What could not be decoded, as `decode.PROBLEMS` names it."""

    @property
    def is_stream(self) -> bool:
        """Whether the body came as events."""
        return self.framing in ("sse", "ndjson", "json_array", "aws_event_stream")


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded request and its reply. Header names are lower-case; `path` has no query."""

    method: str | None = None
    path: str = ""
    query: str = ""
    host: str | None = None
    upstream: str | None = None
    """`host:port` of the server that the proxy chose, if it said."""
    provider: str | None = None
    """The provider, where the middleware's configuration names it."""
    status: int | None = None
    aborted: str | None = None
    """`client` or `upstream` when the exchange was cut, `""` when it wasn't, `None` when nobody said."""
    request_headers: dict[str, str] = msgspec.field(default_factory=dict)
    response_headers: dict[str, str] = msgspec.field(default_factory=dict)
    request: Body = Body()
    response: Body = Body()
    duration: float | None = None
    time_to_first_byte: float | None = None
    timeline: tuple[tuple[int, float], ...] = ()
    """`(bytes written so far, seconds)` as the reply left the proxy, oldest first."""
