"""Sets of ids as runs are sets of ids."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llmtoken.audit.seals.runs import Runs, runs_of

IDS = st.integers(0, 60)


@given(st.lists(st.tuples(IDS, IDS).map(sorted)))
def test_whatever_is_added_in_whatever_order_is_in_it_and_nothing_else(added: Sequence[Sequence[int]]) -> None:
    runs = Runs((first, last) for first, last in added)
    expected = {each for first, last in added for each in range(first, last + 1)}
    assert {each for each in range(-1, 63) if each in runs} == expected
    assert list(runs) == runs_of(expected)


@given(st.sets(IDS))
def test_runs_have_a_gap_between_them(ids: set[int]) -> None:
    runs = runs_of(ids)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(runs))
    assert {each for first, last in runs for each in range(first, last + 1)} == ids
