"""`llmtoken audit show`: one call, readably, from a database or a running collector."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.cli import app
from llmtoken.errors import DatabaseError, NotFound, StorageUnavailable, Unauthorized
from support.collector import running
from support.needs import corpus
from support.records import record

ASK = {"model": "gpt-4o", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi!"}]}
ANSWER = {
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello, you."}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
}
BODIES = {"request_body": json.dumps(ASK), "response_body": json.dumps(ANSWER)}


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write([record("a", **BODIES), record("bare", request_body=None, response_body=None)])
    return path


def show(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "show", *arguments])


def shown(*arguments: str) -> str:
    done = show(*arguments)
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_the_conversation_and_the_numbers_with_their_source(database: str) -> None:
    text = shown("a", "--database", database)
    assert "system\nBe kind.\n" in text
    assert "user\nHi!\n" in text
    assert "assistant\nHello, you.\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("input_tokens")]
    assert line.rstrip().split(maxsplit=2)[1:] == ["100", "= 100 (usage.prompt_tokens)"]
    assert "US dollars, by 2026-01-01" in text
    assert "the provider counted" in text
    assert "alice" in text


@pytest.mark.parametrize(
    ("asked", "answered", "line"),
    [
        ("gpt-4o", "gpt-4o", "model gpt-4o"),
        ("gpt-4o", None, "model gpt-4o"),
        ("gpt-4o", "gpt-4o-2024-08-06", "model gpt-4o, answered by gpt-4o-2024-08-06"),
        (None, "gpt-4o", "model none, answered by gpt-4o"),
        (None, None, None),
    ],
)
def test_the_models_are_those_that_were_named(
    tmp_path: Path, asked: str | None, answered: str | None, line: str | None
) -> None:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write([record("a", request_model=asked, response_model=answered)])
    found = [" ".join(each.split()) for each in shown("a", "--database", path).splitlines() if each.startswith("model")]
    assert found == ([] if line is None else [line])


def test_reasoning_stands_apart_from_the_answer(tmp_path: Path) -> None:
    thinking = {"role": "assistant", "content": "9.", "reasoning_content": "10 - 1"}
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        reply = json.dumps({**ANSWER, "choices": [{"index": 0, "finish_reason": "stop", "message": thinking}]})
        store.write([record("a", request_body=json.dumps(ASK), response_body=reply)])
    assert "assistant, reasoning\n10 - 1\n\nassistant\n9.\n" in shown("a", "--database", path)


def test_numbers_that_would_be_read_otherwise_now_say_so(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write([record("a", **BODIES, input_tokens=99)])
    assert "as it was stored; read again it would be 100" in shown("a", "--database", path)


def test_as_json_for_programs(database: str) -> None:
    found = json.loads(shown("a", "--json", "--database", database))
    assert list(found) == ["call", "sources", "conversation"]
    assert (found["call"]["request_id"], found["call"]["cost"]) == ("a", "0.00037")
    assert "request_body" not in found["call"]
    assert found["sources"]["output_tokens"] == "= 20 (usage.completion_tokens)"
    assert [turn["text"] for turn in found["conversation"]["asked"]] == ["Be kind.", "Hi!"]
    assert found["conversation"]["answered"][0]["text"] == "Hello, you."


def test_bodies_are_shown_as_they_are_stored(database: str) -> None:
    assert BODIES["request_body"] in shown("a", "--bodies", "--database", database)
    found = json.loads(shown("a", "--bodies", "--json", "--database", database))
    assert {name: found["call"][name] for name in BODIES} == BODIES


def test_a_call_whose_bodies_were_not_kept_shows_its_numbers(database: str) -> None:
    text = shown("bare", "--database", database)
    assert "The bodies weren't kept." in text
    assert "total_tokens" in text
    assert json.loads(shown("bare", "--json", "--database", database))["conversation"] is None


def test_nothing_of_a_body_steers_the_terminal(tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\rover"
    path = str(tmp_path / "audit.db")
    ask = {"model": hostile, "messages": [{"role": hostile, "content": hostile}], "tools": [{"name": hostile}]}
    reply = json.dumps({"error": {"message": hostile, "type": hostile}})
    with audit.open(path) as store:
        names = {"consumer": hostile, "request_model": hostile, "error_type": hostile, "labels": {"x": hostile}}
        store.write([record("a", request_body=json.dumps(ask), response_body=reply, **names)])
    for arguments in (["a"], ["a", "--bodies"], ["a", "--json"]):
        text = shown(*arguments, "--database", path)
        assert not {"\x1b", "\x07", "\r", "\x9b"} & set(text)
    assert "\u202e" not in shown("a", "--database", path)


def test_an_unknown_call_says_where_to_look(database: str) -> None:
    error = show("nobody", "--database", database).exception
    assert isinstance(error, NotFound)
    assert "llmtoken audit list" in error.hint


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert isinstance(show("a", "--database", str(tmp_path / "no.db")).exception, DatabaseError)
    assert not (tmp_path / "no.db").exists()


# ── From a running collector ────────────────────────────────────────────────────────────


def test_a_running_collector_is_asked_with_the_read_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, read_token="secret") as collector:
        collector.report({**BODIES, "request_id": "over/http?", "elapsed_time": 1.0, "path": "/v1/chat/completions"})
        monkeypatch.setenv("LLMTOKEN_READ_TOKEN", "secret")
        assert "assistant\nHello, you.\n" in shown("over/http?", "--url", collector.url)
        assert isinstance(show("nobody", "--url", collector.url).exception, NotFound)
        monkeypatch.setenv("LLMTOKEN_READ_TOKEN", "wrong")
        error = show("over/http?", "--url", collector.url).exception
        assert isinstance(error, Unauthorized)
        assert "secret" not in str(error)


def test_a_collector_that_is_not_there_is_told(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        gone = collector.url
    error = show("a", "--url", gone).exception
    assert isinstance(error, StorageUnavailable)
    assert "is a collector running there?" in error.hint


def test_every_recording_can_be_shown(tmp_path: Path) -> None:
    database = str(tmp_path / "corpus.db")
    assert CliRunner().invoke(app, ["replay", str(corpus()), "--to", database]).exit_code == 0
    with audit.open_read_only(database) as reader:
        calls = list(reader.every())
    for call in calls[::7]:
        text = shown(call["request_id"], "--database", database)
        assert call["request_id"] in text
        assert call["total_tokens"] is None or f"{call['total_tokens']:,}" in text
