"""How near estimates come to what providers reported, on recorded calls with that hidden.

`pytest tests/count/test_recorded.py -s` prints the tables.
"""

from __future__ import annotations

import sys

import pytest

from support import estimates
from support.estimates import Row


@pytest.fixture(scope="module")
def table() -> dict[str, Row]:
    rows = estimates.table()
    sys.stdout.write("\n".join(("", estimates.HEADING, *map(str, rows.values()), "")))
    return rows


def test_openai_chat_input_is_exact(table: dict[str, Row]) -> None:
    assert table["input OpenAI, chat"].exact >= 0.95


def test_openai_input_with_tools_is_off_by_few_percent(table: dict[str, Row]) -> None:
    assert table["input OpenAI, with tools"].median <= 0.03
    assert table["input OpenAI, with tool history"].median <= 0.03
    assert table["input OpenAI, with a schema"].median <= 0.05


def test_plain_texts_for_openais_encodings_are_exact(table: dict[str, Row]) -> None:
    assert table["input openai, plain text"].median == 0


def test_openai_output_is_mostly_exact(table: dict[str, Row]) -> None:
    assert table["output openai"].median <= 0.02
    assert table["output openai-reasoning"].median <= 0.02


def test_other_vendors_output_is_off_by_few_percent(table: dict[str, Row]) -> None:
    assert table["output, all other vendors"].median <= 0.08


@pytest.fixture(scope="module")
def calibrated() -> dict[str, tuple[Row, Row]]:
    rows = estimates.calibrated()
    lines = [str(line) for pair in rows.values() for line in pair]
    sys.stdout.write("\n".join(("", estimates.HEADING, *lines, "")))
    return rows


def test_other_vendors_output_is_nearer_once_other_calls_of_the_model_were_seen(
    calibrated: dict[str, tuple[Row, Row]],
) -> None:
    alone, corrected = calibrated["output, all, other vendors"]
    assert corrected.calls >= 100
    assert corrected.median <= 0.03
    assert corrected.median < alone.median


def test_other_vendors_input_is_nearer_once_other_calls_of_the_model_were_seen(
    calibrated: dict[str, tuple[Row, Row]],
) -> None:
    alone, corrected = calibrated["input, all, other vendors"]
    assert corrected.median < alone.median
    assert corrected.mean < alone.mean


def test_what_is_exact_already_stays_so(calibrated: dict[str, tuple[Row, Row]]) -> None:
    for group in ("input, OpenAI", "output, OpenAI"):
        alone, corrected = calibrated[group]
        assert corrected.exact >= alone.exact
