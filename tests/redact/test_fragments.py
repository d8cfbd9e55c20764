"""What belongs together in one value is found the quick way as it is the slow way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtoken.redact.fragments import slots, slots_of_one

NAMES = st.sampled_from(["a", "b", "index", "output_index", "top_logprobs"])
VALUES = st.recursive(
    st.text("xyz", max_size=2) | st.integers(0, 2) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=25,
)


@given(VALUES)
def test_one_value_has_the_same_pieces_however_it_is_looked_at(value: Any) -> None:
    assert sorted(slots_of_one(value)) == sorted(slots((value,)))


@pytest.mark.parametrize(
    ("value", "pieces"),
    [
        ({"a": "x", "b": {"c": "y"}}, []),
        ({"choices": [{"message": {"content": "x"}}]}, []),
        ({"messages": [{"content": "x"}, {"content": "y"}]}, [["x", "y"]]),
        ([{"a": ["x", "y"], "b": "z"}], [["x", "y"]]),
        ({"output": [{"output_index": 0, "a": "x"}, {"output_index": 1, "a": "y"}]}, [["x", "y"]]),
        ({"top_logprobs": [{"token": "x"}, {"token": "y"}]}, []),
    ],
)
def test_only_along_a_list_do_strings_stand_at_the_same_place(value: Any, pieces: list[list[str]]) -> None:
    assert list(slots_of_one(value)) == pieces
