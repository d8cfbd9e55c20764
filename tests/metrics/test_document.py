"""docs/metrics.md."""

import subprocess
import sys

import pytest

from llmtoken.metrics.instruments import ATTRIBUTES, INSTRUMENTS, Instrument
from support.exposition import asked_for, shown
from support.needs import ROOT, program


def test_the_page_is_what_the_declarations_say() -> None:
    page = subprocess.run(
        [sys.executable, "-m", "llmtoken.metrics.document"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    committed = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert page.stdout == committed, "run make docs"


def test_every_attribute_is_explained_and_used() -> None:
    assert {name for instrument in INSTRUMENTS for name in instrument.attributes} == set(ATTRIBUTES)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.name)
def test_the_example_asks_for_the_metric_and_only_for_series_that_are_shown(instrument: Instrument) -> None:
    names = asked_for(instrument.example.split(": ", 1)[1])
    assert any(name.startswith(instrument.prometheus) for name in names)
    assert names <= shown()


def test_every_example_is_promql_that_prometheus_can_read(tmp_path) -> None:
    rules = [
        f"  - record: example:{n}\n    expr: {item.example.split(': ', 1)[1]!r}" for n, item in enumerate(INSTRUMENTS)
    ]
    file = tmp_path / "rules.yml"
    file.write_text("groups:\n- name: examples\n  rules:\n" + "\n".join(rules) + "\n")
    check = subprocess.run(
        [program("promtool", "install Prometheus"), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr
