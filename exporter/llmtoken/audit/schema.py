"""The tables as the newest migration leaves them, and what each column means.

`calls` has the fields of `Call`, same names, same order, among three of the audit's own:
a surrogate `id`, `counted_by` (see `llmtoken.audit.replies`) and `series_id` (see
`llmtoken.audit.counters`). What PostgreSQL has instead of the unique index and the foreign key:
`llmtoken.audit.partitions`. `bodies` is apart because it is by far the larger half and most
queries never look at it.
The migrations build the real thing and a test compares the two. The views live there only.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

from llmtoken.audit.values import Instant, Json, Money

SHORT = 512
"""Longest text in a column of `calls`, in characters: a PostgreSQL index entry holds 2,704 bytes."""
LONG = 8192
"""Longest path, in characters: what a report may carry."""

metadata = MetaData()

# SQLite only makes a column the row's own key when its type is called INTEGER.
Key = BigInteger().with_variant(Integer, "sqlite")


def _column(
    name: str, type_: TypeEngine[Any], doc: str, *, unique: bool = False, required: bool = False
) -> Column[Any]:
    return Column(name, type_, doc=doc, unique=unique, nullable=not required)


_FETCHED = text("counted_by = request_id")
_GIVEN_WAY = text("counted_by IS NOT NULL")
_ERROR = text("error_type IS NOT NULL")
_FAILED = text("http_status >= 400")

calls = Table(
    "calls",
    metadata,
    Column("id", Key, primary_key=True, doc="Order of arrival; never used twice."),
    _column(
        "request_id",
        String(SHORT),
        "Identity of the call; a second report with it is dropped.",
        unique=True,
        required=True,
    ),
    _column("started_at", Instant(), "When the request came in, UTC.", required=True),
    _column("method", String(SHORT), "HTTP method."),
    _column("path", String(LONG), "URL path."),
    _column("host", String(SHORT), "Host that the client asked for."),
    _column("http_status", BigInteger(), "HTTP status of the reply."),
    _column("stream", Boolean(), "Whether the reply was a stream.", required=True),
    _column("aborted", String(SHORT), "Who broke the call off: `client` or `upstream`; empty when nobody did."),
    _column("operation_name", String(SHORT), "What was asked for: `chat`, `embeddings`, …"),
    _column("provider_name", String(SHORT), "Whose API it is: `openai`, `anthropic`, …"),
    _column("server_address", String(SHORT), "Model server, name or address."),
    _column("server_port", BigInteger(), "Model server's port."),
    _column("request_model", String(SHORT), "Model that was asked for."),
    _column("response_model", String(SHORT), "Model that answered."),
    _column("response_id", String(SHORT), "The reply's own id."),
    _column("finish_reasons", Json(), "Why each choice ended: a JSON list.", required=True),
    _column("error_type", String(SHORT), "What went wrong; null when nothing did."),
    _column("input_tokens", BigInteger(), "Tokens in, with cached ones and tool use."),
    _column("output_tokens", BigInteger(), "Tokens out, with reasoning."),
    _column("total_tokens", BigInteger(), "Tokens in and out."),
    _column("cache_read_input_tokens", BigInteger(), "Part of the input that was read from a cache."),
    _column("cache_write_input_tokens", BigInteger(), "Part of the input that was written to a cache."),
    _column("reasoning_output_tokens", BigInteger(), "Part of the output that was reasoning."),
    _column("input_audio_tokens", BigInteger(), "Part of the input that was audio."),
    _column("output_audio_tokens", BigInteger(), "Part of the output that was audio."),
    _column(
        "usage_source", String(SHORT), "Who counted: `reported`, `estimated`, `partial` or `unknown`.", required=True
    ),
    _column("duration", Float(), "From request to the end of the reply, seconds."),
    _column("time_to_first_byte", Float(), "From request to the reply's first byte, seconds."),
    _column("time_to_first_chunk", Float(), "From request to the first piece of the answer, seconds; streams only."),
    _column("time_per_output_chunk", Float(), "Mean time between pieces of the answer, seconds; streams only."),
    _column("tokens_per_second", Float(), "Output tokens over duration."),
    _column("tool_calls", BigInteger(), "Tool calls in the reply."),
    _column("consumer", String(SHORT), "Who asked."),
    _column("cost", Money(), "Price of the call in US dollars, exact; null when nobody knows the price."),
    _column("price_version", String(SHORT), "Which prices `cost` was worked out with."),
    _column("middleware", String(SHORT), "Name of the Traefik middleware that saw the call."),
    _column("labels", Json(), "Labels from the middleware's configuration: a JSON object.", required=True),
    _column("request_bytes", BigInteger(), "Size of the request body on the wire."),
    _column("response_bytes", BigInteger(), "Size of the reply's body on the wire."),
    _column("request_truncated", Boolean(), "Whether the stored request is only its beginning."),
    _column("response_truncated", Boolean(), "Whether the stored reply is only its beginning."),
    _column("details", Json(), "What else was said of the call: a JSON object; see below.", required=True),
    _column(
        "counted_by",
        String(SHORT),
        "Of a reply that was fetched: `request_id` of the call that has its tokens, this one or another; else null.",
    ),
    _column("series_id", BigInteger(), "Series of the counters that the call is counted under: `series.id`."),
    Index("calls_started_at", "started_at"),
    Index("calls_request_model", "request_model", "started_at"),
    Index("calls_consumer", "consumer", "started_at"),
    Index("calls_response_id", "response_id"),  # on SQLite from the first fetch on: llmtoken.audit.replies
    Index("calls_fetched", "response_id", sqlite_where=_FETCHED, postgresql_where=_FETCHED),
    Index("calls_counted_by", "counted_by", sqlite_where=_GIVEN_WAY, postgresql_where=_GIVEN_WAY),
    # With all that a page of failed calls is ordered and picked by, so that the others' rows aren't read.
    Index("calls_error_type", "started_at", "id", "error_type", sqlite_where=_ERROR, postgresql_where=_ERROR),
    Index("calls_http_status", "started_at", "id", "http_status", sqlite_where=_FAILED, postgresql_where=_FAILED),
    sqlite_autoincrement=True,
)

bodies = Table(
    "bodies",
    metadata,
    Column(
        "call_id",
        Key,
        ForeignKey("calls.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        doc="The call's `id`.",
    ),
    _column("request_body", Text(), "The request as text: decompressed; base64 where it is binary."),
    _column("response_body", Text(), "The reply as text, likewise."),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, doc="Always 1."),
    _column("checked_at", Instant(), "When the database was last tried, UTC.", required=True),
    _column("padding", LargeBinary(), "Bytes that had to fit.", required=True),
)
"""One row that readiness checks write, because only a committed write notices a full disk."""

FIELDS = tuple(column for column in calls.columns if column.name not in ("id", "counted_by", "series_id"))
"""The columns that are `Call`'s fields, in their order."""

MEANINGS = {column.name: column.doc or "" for column in FIELDS}
"""What each of them says, by name."""

TOKENS = tuple(column for column in calls.columns if column.name.endswith("_tokens"))
"""The columns that count tokens."""
