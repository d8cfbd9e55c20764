"""One plugin's losses, divided by their reasons."""

from hypothesis import given
from hypothesis import strategies as st

from llmtoken.ledger.losses import DROPPED, FAILED, Losses


def test_only_what_is_new_is_counted() -> None:
    losses = Losses.none(DROPPED)
    assert losses.told(3, {"queue_full": 3}) == {"queue_full": 3}
    assert losses.told(5, {"queue_full": 4, "spool_full": 1}) == {"queue_full": 1, "spool_full": 1}
    assert losses.told(5, {"queue_full": 4, "spool_full": 1}) == {}


def test_totals_that_were_overtaken_count_nothing() -> None:
    losses = Losses.none(DROPPED)
    losses.told(5, {"queue_full": 5})
    assert losses.told(3, {"queue_full": 1, "spool_full": 2}) == {}


def test_what_no_reason_explains_is_unknown() -> None:
    assert Losses.none(FAILED).told(5, {"rejected": 2}) == {"rejected": 2, "unknown": 3}
    assert Losses.none(FAILED).told(5, {}) == {"unknown": 5}


def test_reasons_that_we_do_not_know_are_counted_together() -> None:
    told = {"moon": 1, "tides": 2, "rejected": 1, "queue_full": 1}
    assert Losses.none(FAILED).told(5, told) == {"other": 4, "rejected": 1}


def test_reasons_never_count_more_than_the_total() -> None:
    assert Losses.none(DROPPED).told(2, {"queue_full": 9, "spool_full": 9}) == {"queue_full": 2}
    assert Losses.none(DROPPED).told(0, {"queue_full": 9}) == {}


def test_a_reason_that_comes_after_its_loss_leaves_it_unknown() -> None:
    losses = Losses.none(DROPPED)
    assert losses.told(2, {}) == {"unknown": 2}
    assert losses.told(3, {"queue_full": 3}) == {"queue_full": 1}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50),
            st.dictionaries(st.sampled_from([*DROPPED, "moon", ""]), st.integers(0, 50), max_size=4),
        )
    )
)
def test_whatever_is_told_the_reasons_add_up_to_the_highest_total(told: list[tuple[int, dict[str, int]]]) -> None:
    losses = Losses.none(DROPPED)
    increases = [losses.told(total, by) for total, by in told]
    assert sum(sum(increase.values()) for increase in increases) == max((total for total, _ in told), default=0)
    assert all(count > 0 and reason in DROPPED for increase in increases for reason, count in increase.items())
