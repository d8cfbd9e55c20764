"""What was recorded, as reports: a report's own line, a recorded exchange, a row of the seed, a row of ours.

Owns the mapping and the identity of each. Raises `ReportError` for what can't be a report.
Must not know files or databases.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from llmtoken.decode import content
from llmtoken.errors import NotJSON, ReportError
from llmtoken.report import Report, from_fields, parse_one

Row = Mapping[str, Any]
Mapped = Callable[[Row], Report]

_HINT = "see docs/replay.md for what can be replayed"
_IDENTITY = 16
"""Hexadecimal digits of a hash that tell rows apart: 64 bits."""


def line(data: bytes) -> Report:
    """One line of JSON: a report as the plugin sends it, or a recorded exchange."""
    try:
        return _report(data)
    except NotJSON:
        raise
    except ReportError as error:
        fields = msgspec.json.decode(data)
        if not isinstance(fields, dict) or "elapsed_time" in fields or not fields.keys() >= _EXCHANGE:
            raise error from error.__cause__
        return exchange(fields)


def _report(data: bytes) -> Report:
    """A report. One without a `request_id` is known by its very bytes: the same line is the same exchange.

    What a plugin had lost when it sent the report was told to the collector then; told again,
    it would be counted again.
    """
    report = parse_one(data)
    request_id = report.request_id or f"line-{hashlib.sha256(data.strip()).hexdigest()[: 2 * _IDENTITY]}"
    return msgspec.structs.replace(report, request_id=request_id, source=None)


_EXCHANGE = frozenset({"id", "provider", "method", "path", "status", "request_body", "response_body"})
"""What every recorded exchange has, and no report."""


def exchange(row: Row) -> Report:
    """A recorded HTTP exchange: request line, a few headers, status, both bodies, the host as `provider`.

    Recordings have no clock: the duration is 0, so nobody can take it for a speed, and the
    exchange counts as of now. That is said here, where one comes after the other: by it a reply
    is told from its fetch, and batches are read beside one another.
    """
    return from_fields(
        {
            "version": 1,
            "timestamp": datetime.now(UTC).isoformat(),
            "elapsed_time": 0.0,
            "request_id": row["id"],
            "host": row["provider"],
            **{name: row[name] for name in _SAME if name in row},
            "request_truncated": False,
            "response_truncated": False,
            "aborted": "",
        }
    )


_SAME = (
    *("method", "path", "query", "status", "request_headers", "response_headers"),
    *("request_body", "response_body", "request_body_encoding", "response_body_encoding"),
)


def seed_row(row: Row) -> Report:
    """A row of the seed's `token_stats`. Its counts aren't taken over, only what they were made of.

    The seed stamped the end of a call, as version 0 of a report says. The identity is made of
    the row's own content, so that a moved or copied database is still the same.
    """
    said = [row[name] for name in ("timestamp", "path", "elapsed_time", "request_body", "response_body")]
    identity = hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:_IDENTITY]
    return from_fields(
        {
            "request_id": f"seed-{row['id']}-{identity}",
            "timestamp": row["timestamp"] or None,
            "path": row["path"],
            "elapsed_time": row["elapsed_time"] or 0.0,
            "request_body": row["request_body"] or "",
            "response_body": row["response_body"] or "",
        }
    )


def stored_call(row: Row) -> Report:
    """A call of an audit of ours with its bodies, as `Reader.call` gives it.

    The audit keeps no headers and no timeline. So the provider that was found then is taken for
    configured, what Bedrock says in headers is put back, and times to and between chunks can
    only be estimated anew.
    """
    if row["request_body"] is None and row["response_body"] is None:
        raise ReportError("The call's bodies weren't kept, so there is nothing to read", hint=_HINT)
    request, request_encoding = _as_captured(row["request_body"] or "")
    response, response_encoding = _as_captured(row["response_body"] or "")
    return from_fields(
        {
            "version": 1,
            "timestamp": row["started_at"],
            "elapsed_time": row["duration"] or 0.0,
            "status": row["http_status"],
            "upstream": _upstream(row),
            "provider": row["provider_name"],
            "request_body": request,
            "request_body_encoding": request_encoding,
            "response_body": response,
            "response_body_encoding": response_encoding,
            "response_headers": _bedrock_headers(row) if row["provider_name"] == "aws.bedrock" else {},
            **{name: row[name] for name in _KEPT},
        }
    )


_KEPT = (
    *("request_id", "method", "path", "host", "aborted", "time_to_first_byte", "consumer", "middleware", "labels"),
    *("request_bytes", "response_bytes", "request_truncated", "response_truncated"),
)


def _bedrock_headers(row: Row) -> dict[str, str]:
    """The kind of an error, and the counts that most models' replies leave to the headers."""
    if row["error_type"] is not None:
        return {"x-amzn-errortype": row["error_type"]}
    if row["usage_source"] != "reported":
        return {}
    read, written = row["cache_read_input_tokens"], row["cache_write_input_tokens"]
    fresh = None if row["input_tokens"] is None else row["input_tokens"] - (read or 0) - (written or 0)
    counts = {"input": fresh, "output": row["output_tokens"], "cache-read-input": read, "cache-write-input": written}
    return {f"x-amzn-bedrock-{name}-token-count": str(count) for name, count in counts.items() if count is not None}


def _upstream(row: Row) -> str | None:
    """The server that the proxy chose, where it isn't just the host that was asked for."""
    host, port = row["server_address"], row["server_port"]
    address = host if host is None or port is None else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return None if address == row["host"] else address


def _as_captured(text: str) -> tuple[str, str]:
    """A stored body with its encoding: the audit keeps base64 of what isn't text."""
    if len(text) % 4 == 0 and not text[:1].isspace() and text[:1] not in ("{", "[", ""):
        try:
            if not content.is_plain(base64.b64decode(text, validate=True)):
                return text, "base64"
        except (binascii.Error, ValueError):
            pass
    return text, "text"
