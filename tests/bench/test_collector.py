"""bench/collector.py runs and counts right. How fast anything is, is not tested: machines differ."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from support.needs import ROOT, SHARED, shared

BRIEF = ("--rounds=1", "--seconds=0.2", "--case=small, usage", "--samples=300", "--reports=1000")


@pytest.fixture(scope="module")
def said() -> str:
    """What it prints of every part, as briefly as it goes."""
    shared("the seed's app", SHARED / "seed")
    command = [sys.executable, ROOT / "bench" / "collector.py", *BRIEF, "--only=cpu,acknowledgement,scrape,size,soak"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def _numbers(said: str, beginning: str) -> list[float]:
    line = next(line for line in said.splitlines() if line.lstrip().startswith(beginning))
    return [float(number) for number in re.findall(r"\d+\.?\d*", line.replace(",", "").removeprefix(beginning))]


def test_cpu_is_told_for_the_seed_for_single_reports_for_batches_and_for_the_floor(said: str) -> None:
    seed, _, single, _, batch, _, floor, *times = _numbers(said, "small, usage")
    assert min(seed, single, batch, floor) > 0
    assert times[0] == pytest.approx(seed / single, abs=0.1)
    assert times[1] == pytest.approx(seed / batch, abs=0.1)


@pytest.mark.parametrize("batch", ["batch 1 ", "batch 50"])
def test_acknowledgements_have_a_pace_and_waits_in_order(said: str, batch: str) -> None:
    rate, median, most, worst = _numbers(said, batch)
    assert rate > 0
    assert 0 < median <= most <= worst


def test_a_scrape_has_as_many_samples_as_were_asked_for(said: str) -> None:
    lines = said[said.index("A scrape every second") :].splitlines()
    samples = int(lines[2].split()[0].replace(",", ""))
    assert samples >= 300


def test_a_call_takes_less_room_without_its_bodies(said: str) -> None:
    for case, bodies in (("small, usage", 500), ("large, usage", 36_000)):
        lines = said[said.index("bytes of the database") :]
        kept, dropped = _numbers(lines, case)
        assert kept - dropped > bodies


def test_every_report_of_the_soak_is_a_row(said: str) -> None:
    lines = said[said.index("1,000 reports") :].splitlines()
    assert [line.split()[0] for line in lines[2:12]] == [f"{rows:,}" for rows in range(100, 1001, 100)]
