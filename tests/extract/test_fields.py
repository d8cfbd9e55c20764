"""Tolerant getters."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import _fields


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (12, 12), (12.0, 12), ("12", 12), (2**53, 2**53)])
def test_a_count_is_read_however_it_is_written(value: Any, expected: int) -> None:
    assert _fields.integer(value) == expected


NO_COUNTS = [None, True, -1, -1.0, 12.5, float("nan"), float("inf"), 1e300, [], {}, 2**53 + 1]
NO_DIGITS = ["", "-1", "1.5", "x", "²", "٣", "9" * 30]


@pytest.mark.parametrize("value", [*NO_COUNTS, *NO_DIGITS])
def test_what_is_no_count_is_unknown(value: Any) -> None:
    assert _fields.integer(value) is None


def test_wrong_types_read_as_nothing() -> None:
    assert _fields.text(1) is None
    assert _fields.text("") is None
    assert _fields.mapping([1]) == {}
    assert _fields.items({"a": 1}) == []
    assert _fields.mappings([1, {"a": 1}, None]) == [{"a": 1}]


def test_the_first_field_that_holds_something_counts() -> None:
    source = {"a": None, "b": "x", "c": 3, "d": 4}
    assert _fields.first_integer(source, ("a", "b", "c", "d")) == 3
    assert _fields.first_mapping({"a": {}, "b": {"x": 1}}, ("a", "b")) == {"x": 1}


def test_a_sum_of_unknowns_is_unknown() -> None:
    assert _fields.total(None, None) is None
    assert _fields.total(1, None, 2) == 3
