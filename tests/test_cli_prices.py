"""`llmtoken prices`: what a model would cost."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llmtoken.cli import app


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "llmtoken.toml"
    file.write_text('[[prices]]\nmodel = "qwen*"\nprovider = "self_hosted"\nper_second = 0.001\n', "utf-8")
    return str(file)


def found(*arguments: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["prices", "--json", *arguments])
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert done.exit_code == (0 if rows else 1)
    return rows


def test_the_price_with_one_provider() -> None:
    (row,) = found("gpt-4o-mini", "--provider", "openai")
    assert row["version"].endswith(" openai/gpt-4o-mini")
    assert row["rates"]["input_mtok"] == "0.15"


def test_the_price_of_a_day() -> None:
    (before,), (after,) = (found("o3", "--provider", "openai", "--at", day) for day in ("2025-06-01", "2025-07-01"))
    assert (before["rates"]["input_mtok"], after["rates"]["input_mtok"]) == ("10", "2")


def test_the_price_with_everybody_who_has_it() -> None:
    assert {"openai", "azure.ai.openai", "azure.ai.inference"} <= {row["provider"] for row in found("gpt-4o-mini")}


def test_own_prices_are_shown_where_they_apply(config: str) -> None:
    rows = found("qwen-7", "--config", config)
    assert ("self_hosted", {"per_second": "0.001"}) in [(row["provider"], row["rates"]) for row in rows]


def test_a_table_for_people_and_an_end_for_scripts(config: str) -> None:
    shown = CliRunner().invoke(app, ["prices", "qwen-7", "--provider", "self_hosted", "--config", config])
    assert "0.001 per_second" in shown.stdout
    nobody = CliRunner().invoke(app, ["prices", "no-such-model"])
    assert (nobody.exit_code, "Nobody knows a price of no-such-model" in nobody.stderr) == (1, True)
