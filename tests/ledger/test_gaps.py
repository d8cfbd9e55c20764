"""The numbers that did not arrive."""

from hypothesis import given
from hypothesis import strategies as st

from llmtoken.ledger.gaps import MOST, Gaps


def test_numbers_in_a_row_leave_no_gap() -> None:
    gaps = Gaps(0)
    assert [gaps.arrived(number) for number in (1, 2, 3)] == [True, True, True]
    assert (gaps.highest, gaps.open(3)) == (3, 0)


def test_a_number_that_was_skipped_is_open_until_it_arrives() -> None:
    gaps = Gaps(0)
    gaps.arrived(3)
    assert (gaps.open(3), gaps.open(1)) == (2, 1)
    assert gaps.arrived(2)
    assert gaps.open(3) == 1


def test_a_number_that_was_given_out_is_open_before_a_later_one_arrives() -> None:
    gaps = Gaps(0)
    gaps.expect(3)
    gaps.expect(5)
    gaps.arrived(1)
    assert (gaps.open(3), gaps.open(5), gaps.highest) == (2, 4, 5)


def test_a_number_that_comes_twice_is_not_news() -> None:
    gaps = Gaps(0)
    gaps.arrived(2)
    assert (gaps.arrived(2), gaps.arrived(1), gaps.arrived(1)) == (False, True, False)


def test_nothing_is_said_of_numbers_before_the_first() -> None:
    gaps = Gaps(99)
    assert not gaps.arrived(50)
    gaps.arrived(101)
    assert gaps.open(101) == 1


def test_the_oldest_gap_stays_open_for_good_when_there_are_too_many() -> None:
    gaps = Gaps(0)
    for number in range(2, 2 * MOST + 3, 2):
        gaps.arrived(number)
    assert gaps.open(gaps.highest) == MOST + 1
    assert (gaps.arrived(1), gaps.arrived(3)) == (False, True)
    assert gaps.open(gaps.highest) == MOST


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40))), st.integers(0, 40))
def test_open_are_exactly_the_numbers_given_out_that_did_not_arrive(told: list[tuple[bool, int]], up_to: int) -> None:
    gaps, arrived, highest = Gaps(0), set[int](), 0
    for arrives, number in told:
        highest = max(highest, number)
        if arrives:
            assert gaps.arrived(number) is (number not in arrived)
            arrived.add(number)
        else:
            gaps.expect(number)
    assert gaps.highest == highest
    assert gaps.open(up_to) == len(set(range(1, min(up_to, highest) + 1)) - arrived)
