"""How numbers and times are written on the landing page."""

from decimal import Decimal

import pytest

from llmtoken.landing import page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0, "0"),
        (9999, "9,999"),
        (10_000, "10k"),
        (12_345, "12.3k"),
        (999_499, "999k"),
        (999_999, "1M"),
        (1_234_567, "1.23M"),
        (45_600_000_000, "45.6G"),
    ],
)
def test_a_large_number_has_three_digits_and_a_unit(value: int | None, text: str) -> None:
    assert page.short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        ("0", "$0.00"),
        ("1234.567", "$1,234.57"),
        ("0.01", "$0.01"),
        ("0.00123", "$0.0012"),
        ("0.00001", "<$0.0001"),
    ],
)
def test_a_cost_is_never_rounded_to_nothing(value: str | None, text: str) -> None:
    assert page.money(None if value is None else Decimal(value)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (-1, "0 s")],
)
def test_a_time_ago_has_two_units_at_most(seconds: float, text: str) -> None:
    assert page.ago(1_000_000.0, 1_000_000.0 - seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "—"), (0.0421, "42 ms"), (1.04, "1.0 s"), (75.0, "75.0 s")])
def test_a_duration_is_written_by_its_size(value: float | None, text: str) -> None:
    assert page.seconds(value) == text


def test_a_bar_of_nothing_is_empty() -> None:
    assert (page.share(0, 0), page.share(1, 3), page.share(3, 3)) == (0, 33, 100)
