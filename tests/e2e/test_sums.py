"""Every kind of call, made with the real SDKs: the model server, SQLite and Prometheus keep the same books.

llama.cpp's own metrics are the truth: it counted before anybody of us saw a token.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import pytest

from e2e import sdk
from e2e.sdk import KINDS, Kind, Seen
from e2e.world import Sums, World, eventually, new_mark
from support.model_server import ModelServer, Truth

PROMPT = "Subject to the terms and conditions of this License, each Contributor hereby grants"
"""Common to all calls, so that llama.cpp finds most of it in its cache."""


@dataclass(frozen=True)
class Made:
    """A call that was made: what the client saw, what llama.cpp counted for it, and its row."""

    seen: Seen
    truth: Truth
    row: sqlite3.Row


@dataclass(frozen=True)
class Books:
    """All calls of this module, and by how much each book grew with them."""

    calls: dict[str, Made]
    llama: Sums
    sqlite: Sums
    prometheus: Sums


@pytest.fixture(scope="module")
def books(world: World) -> Books:
    """Make every kind of call twice, the second time with most of the prompt cached."""
    before = world.settled()
    llama = world.in_llama(0)
    calls = {}
    for kind in KINDS:
        sdk.make(kind, world.traefik.url, f"{PROMPT} {new_mark()}")
    for kind in KINDS:
        mark = new_mark()
        counted = world.model_server.truth()
        seen = sdk.make(kind, world.traefik.url, f"{PROMPT} {mark}")
        calls[kind.name] = Made(seen, world.model_server.truth() - counted, world.audit.row(mark))
    made = 2 * len(KINDS)
    assert eventually(lambda: world.audit.sums().calls, before.calls + made) == before.calls + made
    sqlite = world.audit.sums()
    return Books(
        calls,
        world.in_llama(made) - llama,
        sqlite - before,
        eventually(world.in_prometheus, sqlite) - before,
    )


def kinds(*, but: str = "") -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", [k for k in KINDS if k.name != but], ids=lambda kind: kind.name)


# ── The control ─────────────────────────────────────────────────────────────────────────


@kinds(but="chat streamed")
def test_llama_cpp_tells_the_client_what_it_counts_itself(llama: ModelServer, kind: Kind) -> None:
    before = llama.truth()
    seen = sdk.make(kind, llama.url, PROMPT)
    counted = llama.truth() - before
    anthropic = kind.path == "/v1/messages"
    assert (seen.input or 0) + (seen.cached or 0 if anthropic else 0) == counted.input
    assert (seen.output or 0) == counted.output
    assert (seen.cached or 0) == counted.cached


# ── The sums ────────────────────────────────────────────────────────────────────────────


def test_sqlite_has_the_sums_of_the_model_server(books: Books) -> None:
    assert books.sqlite == books.llama


def test_prometheus_has_the_sums_of_the_model_server(books: Books) -> None:
    assert books.prometheus == books.llama


def test_most_of_the_input_was_cached_so_that_counting_it_twice_would_show(books: Books) -> None:
    assert 0 < books.llama.cached < books.llama.input


def test_prometheus_has_the_sums_of_sqlite_for_every_operation(world: World, books: Books) -> None:
    assert books.calls
    world.settled()
    for operation in sorted({kind.operation for kind in KINDS}):
        rows = world.audit.sums(f"operation_name = '{operation}'")
        assert eventually(lambda: world.in_prometheus(gen_ai_operation_name=operation), rows) == rows  # noqa: B023


def test_prometheus_has_the_sums_of_sqlite_for_every_source_of_usage(world: World, books: Books) -> None:
    assert books.calls
    world.settled()
    for source in ("reported", "estimated", "partial", "unknown"):
        rows = world.audit.sums(f"usage_source = '{source}'")
        assert eventually(lambda: world.in_prometheus(llmtoken_usage_source=source), rows) == rows  # noqa: B023


# ── Each row ────────────────────────────────────────────────────────────────────────────


@kinds()
def test_the_row_has_what_llama_cpp_counted(books: Books, kind: Kind) -> None:
    made = books.calls[kind.name]
    row = made.row
    assert row["input_tokens"] == made.truth.input
    assert (row["output_tokens"] or 0) == made.truth.output
    assert (row["cache_read_input_tokens"] or 0) == made.truth.cached
    assert row["total_tokens"] == made.truth.input + made.truth.output


@kinds()
def test_the_row_says_that_llama_cpp_reported_it(books: Books, kind: Kind) -> None:
    assert books.calls[kind.name].row["usage_source"] == "reported"


@kinds()
def test_the_row_says_what_was_asked_and_who_answered(world: World, books: Books, kind: Kind) -> None:
    made = books.calls[kind.name]
    row = made.row
    assert (row["method"], row["path"], row["http_status"]) == ("POST", kind.path, 200)
    assert (row["operation_name"], bool(row["stream"])) == (kind.operation, kind.stream)
    assert (row["request_model"], row["response_model"]) == (sdk.MODEL, sdk.MODEL)
    assert row["response_id"] == made.seen.response_id
    assert (row["aborted"], row["error_type"]) == ("", None)
    assert f"http://{row['server_address']}:{row['server_port']}" == world.model_server.url


@kinds()
def test_the_api_and_the_database_file_tell_the_same(world: World, books: Books, kind: Kind) -> None:
    row = books.calls[kind.name].row
    call = world.api_call(row["request_id"], bodies=True)
    stored = dict(row)
    as_told = {"started_at", "finish_reasons", "labels", "cost"}  # JSON's own forms of these
    assert {name: value for name, value in call.items() if name not in as_told} == {
        name: stored[name] for name in call if name not in as_told
    }
    assert call.keys() == stored.keys() - {"id", "call_id", "details", "counted_by", "series_id"}


@kinds()
def test_the_row_keeps_what_was_said(books: Books, kind: Kind) -> None:
    made = books.calls[kind.name]
    assert PROMPT in made.row["request_body"]
    assert len(made.row["response_body"].encode()) == made.row["response_bytes"]
