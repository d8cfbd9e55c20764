"""What follows from pairs of counts, whatever they are."""

from __future__ import annotations

import random
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from llmtoken.count.calibration import WINDOW
from llmtoken.count.correction import Pair, Side, correction

COUNTS = st.integers(1, 10**7)
PAIRS = st.lists(st.tuples(COUNTS, COUNTS), max_size=WINDOW)


def test_a_reply_has_no_hidden_prompt_so_only_one_thing_is_learned_of_it() -> None:
    found = correction([(n, round(n * 1.3) + 190) for n in (5, 40, 80, 120, 200, 700, 900)], "output")
    assert found.ratio == 1 or found.offset == 0


@given(PAIRS, COUNTS, st.sampled_from(get_args(Side)))
def test_no_traffic_whatever_leads_to_an_estimate_without_sense(pairs: list[Pair], counted: int, side: Side) -> None:
    estimate = correction(pairs, side)(counted)
    assert max(1, counted // 4 - 1) <= estimate <= 4 * counted + max((reported for _, reported in pairs), default=0)


@given(PAIRS, COUNTS, st.integers())
def test_the_order_of_the_calls_in_the_window_does_not_matter(pairs: list[Pair], counted: int, seed: int) -> None:
    shuffled = list(pairs)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - not a secret
    assert correction(pairs, "input")(counted) == correction(shuffled, "input")(counted)
