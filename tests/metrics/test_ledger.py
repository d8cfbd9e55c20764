"""Running totals of lost reports, turned into increases."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from llmtoken.metrics.ledger import REMEMBERED, Ledger
from llmtoken.report import Source


def test_the_first_report_of_a_boot_counts_whole() -> None:
    assert Ledger().increases(Source(boot="a", sequence=9, dropped=3, failed=2)) == (3, 2)


def test_only_what_is_new_is_counted() -> None:
    ledger = Ledger()
    ledger.increases(Source(boot="a", dropped=3, failed=2))
    assert ledger.increases(Source(boot="a", dropped=5, failed=2)) == (2, 0)


def test_a_report_that_was_overtaken_counts_nothing() -> None:
    ledger = Ledger()
    ledger.increases(Source(boot="a", sequence=2, dropped=5))
    assert ledger.increases(Source(boot="a", sequence=1, dropped=3)) == (0, 0)
    assert ledger.increases(Source(boot="a", sequence=3, dropped=6)) == (1, 0)


def test_a_new_boot_begins_at_zero() -> None:
    ledger = Ledger()
    ledger.increases(Source(boot="a", dropped=5))
    assert ledger.increases(Source(boot="b", dropped=1)) == (1, 0)


def test_totals_without_a_boot_can_not_be_told_apart_and_are_left_out() -> None:
    assert Ledger().increases(Source(dropped=5, failed=5)) == (0, 0)


def test_the_boots_unheard_of_for_longest_are_forgotten() -> None:
    ledger = Ledger()
    for number in range(REMEMBERED):
        ledger.increases(Source(boot=str(number), dropped=1))
    ledger.increases(Source(boot="0", dropped=1))
    ledger.increases(Source(boot="one more", dropped=1))
    assert ledger.increases(Source(boot="0", dropped=1)) == (0, 0)
    assert ledger.increases(Source(boot="1", dropped=1)) == (1, 0)


@given(st.data(), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_in_any_order_and_with_repetitions_the_sum_is_the_last_total(data: st.DataObject, losses: list[int]) -> None:
    totals = [sum(losses[: end + 1]) for end in range(len(losses))]
    delivered: Sequence[int] = data.draw(st.permutations(totals + totals))
    ledger = Ledger()
    assert sum(ledger.increases(Source(boot="a", dropped=total))[0] for total in delivered) == totals[-1]
