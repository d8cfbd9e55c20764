"""A consumer's bodies are deleted for good; the calls, their numbers and the proof stay."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.cli import app
from llmtoken.redact import Redactor
from support.records import record


@pytest.fixture
def engine() -> str:
    """SQLite alone: this is about its file."""
    return "sqlite"


BODIES = 30


def said(consumer: str, number: int) -> str:
    return f"{consumer} said only{consumer}says number {number}, which nobody shall know"


def fill(store: Audit) -> None:
    for consumer in ("alice", "bob"):
        store.write(
            [
                record(
                    f"{consumer}-{number}",
                    consumer=consumer,
                    request_body=said(consumer, number) * 40,
                    response_body=said(consumer, number),
                )
                for number in range(BODIES)
            ]
        )


def forget(database: str, *options: str) -> str:
    done = CliRunner().invoke(app, ["audit", "forget", "--database", database, *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def with_bodies(database: str) -> dict[str, int]:
    query = "SELECT consumer, count(*) FROM calls JOIN bodies ON call_id = calls.id GROUP BY consumer"
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute(query))


def test_the_bodies_go_and_nothing_else(database: str) -> None:
    with audit.open(database) as store:
        fill(store)
        before = dict(store.counters)
        assert "The bodies of 30 calls of alice are deleted" in forget(database, "--consumer", "alice")
        assert with_bodies(database) == {"bob": BODIES}
        balance = store.verify()
        assert (balance.calls, balance.differences) == (2 * BODIES, ())
        assert dict(store.counters) == before


def test_the_log_proves_it(database: str) -> None:
    with audit.open(database) as store:
        fill(store)
        forget(database, "--consumer", "alice")
        (row,) = store.prunings(10)
        assert (row.rule, row.deleted, row.calls) == ("forget consumer alice", "bodies", BODIES)


def test_a_dry_run_only_counts(database: str) -> None:
    with audit.open(database) as store:
        fill(store)
        assert "30 calls of alice have bodies" in forget(database, "--consumer", "alice", "--dry-run")
        assert with_bodies(database) == {"alice": BODIES, "bob": BODIES}
        assert store.prunings(10) == []


def test_programs_get_json(database: str) -> None:
    with audit.open(database) as store:
        fill(store)
    told = json.loads(forget(database, "--consumer", "alice", "--json"))
    assert told == {"consumer": "alice", "stored_as": ["alice"], "calls": BODIES, "dry_run": False}
    assert json.loads(forget(database, "--consumer", "nobody", "--json"))["calls"] == 0


@pytest.mark.parametrize("searchable", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_not_a_byte_of_it_is_left_in_the_files(database: str, running: bool, searchable: bool) -> None:
    def traces() -> set[str]:
        files = [path for path in Path(database).parent.iterdir() if path.is_file()]
        everything = b"".join(path.read_bytes() for path in files)
        whole = {name for name in ("alice", "bob") for n in range(BODIES) if said(name, n).encode() in everything}
        return (
            whole
            | ({"bob"} if b"onlybobsays" in everything else set())
            | ({"alice"} if b"onlyalicesays" in everything else set())
        )

    with audit.open(database, search=searchable) as store:
        fill(store)
        assert traces() == {"alice", "bob"}
        if running:
            forget(database, "--consumer", "alice")
            assert traces() == {"bob"}
    if not running:
        forget(database, "--consumer", "alice")
    assert traces() == {"bob"}


def test_a_collector_goes_on_writing_meanwhile(database: str) -> None:
    with audit.open(database) as store:
        fill(store)
        stop = threading.Event()
        written = []

        def write() -> None:
            while not stop.is_set():
                written.append(store.write([record(f"new-{len(written)}", consumer="carol")])[0])

        writer = threading.Thread(target=write)
        writer.start()
        forget(database, "--consumer", "alice")
        stop.set()
        writer.join()
        assert all(written)
        assert with_bodies(database) == {"bob": BODIES, "carol": len(written)}


def test_a_consumer_is_found_under_the_name_that_a_redaction_gave(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a secret of some length"
    name = Redactor(("pii",), {}, key).name("alice@example.org")
    with audit.open(database) as store:
        store.write([record("a", consumer=name, request_body="x"), record("b", consumer="bob", request_body="x")])
    monkeypatch.setenv("LLMTOKEN_REDACT", "pii")
    monkeypatch.setenv("LLMTOKEN_REDACT_KEY", key)
    told = json.loads(forget(database, "--consumer", "alice@example.org", "--json"))
    assert (told["calls"], told["stored_as"]) == (1, ["alice@example.org", name])
