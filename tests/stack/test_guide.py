"""What the user is told once the stack runs: true addresses, commands that can be pasted."""

import json
import shlex
from pathlib import Path
from typing import Any

from llmtoken.stack import guide
from llmtoken.stack.plan import Plan
from llmtoken.stack.upstream import Answer


def a_plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "parts": (),
        "proxy": "http://127.0.0.1:8088",
        "collector": "http://127.0.0.1:8000",
        "upstream": "http://127.0.0.1:11434",
        "prometheus": "http://127.0.0.1:9090",
        "database": str(Path.cwd() / "data" / "llmtoken.db"),
        "data": Path.cwd() / "data",
        "demo": False,
        "guarded": False,
    }
    return Plan(**values | changes)


def commands(plan: Plan, answer: Answer) -> dict[str, str]:
    return dict(guide.what_next(plan, answer))


def test_the_chat_goes_through_traefik_to_the_model_that_the_upstream_offers() -> None:
    command = commands(a_plan(), Answer(model="qwen3"))["a streamed chat through Traefik"]
    words = shlex.split(command)
    assert words[:3] == ["curl", "-N", "http://127.0.0.1:8088/v1/chat/completions"]
    body = json.loads(words[-1])
    assert (body["model"], body["stream"]) == ("qwen3", True)
    assert "YOUR-KEY" not in command


def test_whatever_a_model_or_a_folder_is_called_the_commands_stay_one_command() -> None:
    answer = Answer(model="it's; rm -rf \n \x1b[2J")
    found = commands(a_plan(database=str(Path.cwd() / "my data" / "llmtoken.db")), answer)
    assert json.loads(shlex.split(found["a streamed chat through Traefik"])[-1])["model"] == answer.model
    assert shlex.split(found["its row in the audit"])[:3] == ["sqlite3", "-box", "my data/llmtoken.db"]
    assert all(command.isprintable() for command in found.values())


def test_an_upstream_that_does_not_tell_its_models_leaves_them_and_the_key_to_the_user() -> None:
    command = commands(a_plan(), Answer())["a streamed chat through Traefik"]
    assert "YOUR-MODEL" in command
    assert "YOUR-KEY" in command


def test_the_demo_server_needs_no_key() -> None:
    command = commands(a_plan(demo=True), Answer(model="demo-chat"))["a streamed chat through Traefik"]
    assert "demo-chat" in command
    assert "YOUR" not in command


def test_paths_are_told_as_one_would_type_them_here() -> None:
    assert "sqlite3 -box data/llmtoken.db '" in commands(a_plan(), Answer())["its row in the audit"]
    assert ("logs", "data/logs", "of every program") in guide.where(a_plan())


def test_a_guarded_audit_is_asked_with_the_read_token() -> None:
    assert "LLMTOKEN_READ_TOKEN" in commands(a_plan(guarded=True), Answer())["the whole record"]
    assert "LLMTOKEN_READ_TOKEN" not in commands(a_plan(), Answer())["the whole record"]


def test_a_database_that_is_no_file_is_shown_without_sqlite3_and_without_its_password() -> None:
    plan = a_plan(database="postgresql+psycopg://me:secret@db/llmtoken")
    assert not any("sqlite3" in command for command in commands(plan, Answer()).values())
    assert ("database", "postgresql+psycopg://me:********@db/llmtoken") in [row[:2] for row in guide.where(plan)]


def test_an_upstream_that_does_not_answer_is_remarked_with_what_to_do() -> None:
    (remark,) = guide.remarks(a_plan(), Answer(problem="Connection refused"))
    for part in ("http://127.0.0.1:11434", "GET /v1/models: Connection refused", "502", "--upstream"):
        assert part in remark


def test_a_missing_prometheus_is_remarked() -> None:
    plan = a_plan(prometheus=None)
    assert any("Prometheus isn't installed" in remark for remark in guide.remarks(plan, Answer()))
    assert not any(name == "Prometheus" for name, _, _ in guide.where(plan))


def test_what_is_as_expected_is_not_remarked() -> None:
    assert guide.remarks(a_plan(), Answer()) == []
