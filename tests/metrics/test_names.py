"""The cardinality guard."""

from hypothesis import given
from hypothesis import strategies as st

from llmtoken.metrics.names import OTHER, Names


def test_a_known_name_stays_itself_when_the_places_are_taken() -> None:
    names = Names(2)
    assert [names.label(name) for name in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]


def test_an_unknown_name_is_empty() -> None:
    assert Names(2).label(None) == ""
    assert Names(2).label("") == ""


def test_failed_calls_leave_half_of_the_places_to_names_that_work() -> None:
    names = Names(4)
    assert [names.label(f"typo-{n}", failed=True) for n in range(4)] == ["typo-0", "typo-1", OTHER, OTHER]
    assert [names.label(f"real-{n}") for n in range(3)] == ["real-0", "real-1", OTHER]


def test_the_only_place_may_go_to_a_failed_call() -> None:
    assert Names(1).label("broken", failed=True) == "broken"


def test_long_names_are_cut_and_unprintable_characters_replaced() -> None:
    assert Names(1).label("m" * 300) == "m" * 256
    assert Names(1).label("a\x00b\ud800c\u202ed") == "a\ufffdb\ufffdc\ufffdd"


@given(st.lists(st.text(st.characters(), max_size=300), max_size=30))
def test_whatever_comes_labels_are_few_short_and_printable(given_names: list[str]) -> None:
    names = Names(5)
    labels = {names.label(name) for name in given_names} - {"", OTHER}
    assert len(labels) <= 5
    assert all(len(label) <= 256 and label.isprintable() and label.encode() for label in labels)
