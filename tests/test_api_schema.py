"""The API is as `/docs` describes it, whatever is asked: schemathesis against a running collector."""

import os
import subprocess
from pathlib import Path

import pytest

from llmtoken import audit
from support.collector import Collector, running
from support.needs import ROOT, program
from support.records import record


def assert_as_described(collector: Collector, folder: Path, *, examples: int, **tokens: str) -> None:
    schemathesis = program("schemathesis", "pip install 'schemathesis>=4'")
    config = str(ROOT / "tests" / "schemathesis.toml")
    options = ["--max-examples", str(examples), "--generation-deterministic", "--no-color"]
    done = subprocess.run(
        [schemathesis, "--config-file", config, "run", *options, f"{collector.url}/openapi.json"],
        cwd=folder,
        env={**os.environ, "REPORT_TOKEN": "", "READ_TOKEN": "", **tokens},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(ROUTES)}" in done.stdout, done.stdout


ROUTES = {"/api/calls", "/api/calls/{request_id}", "/api/usage", "/api/report", "/health", "/ready", "/metrics"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with audit.open(str(tmp_path / "llmtoken.db")) as store:
        store.write([record(f"request-{number}") for number in range(5)])
    return tmp_path


def test_every_route_is_described(folder: Path) -> None:
    with running(folder) as collector:
        paths = collector.client.get("/openapi.json").json()["paths"]
    assert set(paths) == ROUTES
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"], path
            answer = operation["responses"]["200"]["content"]
            assert any("schema" in form for form in answer.values()), path


def test_the_open_api_keeps_its_promises(folder: Path) -> None:
    with running(folder) as collector:
        assert_as_described(collector, folder, examples=20)


TOKENS = {"token": "report-secret", "read_token": "read-secret"}
PATIENT = {"max_wrong_tokens_per_minute": 1_000_000, "max_requests_per_second": 1_000_000}


def test_the_guarded_api_keeps_its_promises_to_who_has_the_tokens(folder: Path) -> None:
    with running(folder, **TOKENS, **PATIENT) as collector:
        assert_as_described(
            collector, folder, examples=10, REPORT_TOKEN=TOKENS["token"], READ_TOKEN=TOKENS["read_token"]
        )


def test_the_guarded_api_keeps_its_promises_to_who_has_none(folder: Path) -> None:
    with running(folder, **TOKENS, **PATIENT) as collector:
        assert_as_described(collector, folder, examples=5, REPORT_TOKEN="guess", READ_TOKEN="guess")
