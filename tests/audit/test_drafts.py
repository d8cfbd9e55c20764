"""What is looked at in one go is stored as if each value had been looked at by itself."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from audit.test_values import ODD
from llmtoken.audit import replies, values
from llmtoken.audit.drafts import COLUMNS, Draft
from llmtoken.audit.schema import FIELDS
from llmtoken.audit.values import Json
from llmtoken.call import Call
from support.calls import call, failed, streamed, without_tokens
from support.records import record


def one_by_one(each: Call) -> list[Any]:
    """The row of a call, every value mended by itself."""
    cleaned = [
        None if value is None else values.cleaner(column)(value)
        for column, value in zip(FIELDS, astuple(each), strict=True)
    ]
    return [
        msgspec.json.encode(value).decode() if isinstance(column.type, Json) else value
        for column, value in zip(FIELDS, cleaned, strict=True)
    ]


def drafted(each: Call) -> Draft:
    return Draft(msgspec.structs.replace(record(), call=each))


@given(st.fixed_dictionaries({}, optional=ODD))
def test_whatever_a_call_says_its_row_is_as_if_each_value_had_been_looked_at_by_itself(changes: dict[str, Any]) -> None:
    each = call(**changes)
    # As text, because NaN isn't even itself, and 1 would be True.
    assert repr(drafted(each).row()[: len(FIELDS)]) == repr(one_by_one(each))


def test_a_call_without_anything_odd_is_taken_as_it_is() -> None:
    for each in (call(), streamed(), failed(), without_tokens(), call(labels={"team": "ä"}, details={"seed": 7})):
        assert drafted(each).call is each


def test_a_call_is_counted_as_it_is_stored() -> None:
    draft = drafted(call(request_model="m" * 600, input_tokens=2**41, consumer="a\0b"))
    assert (draft.call.request_model, draft.call.input_tokens, draft.call.consumer) == ("m" * 512, None, "a\ufffdb")


def test_a_row_has_a_value_for_each_column() -> None:
    assert len(drafted(call()).row()) == len(COLUMNS)


def test_calls_of_one_shape_have_values_in_the_same_columns() -> None:
    one, other = drafted(call()), drafted(call(request_id="b", input_tokens=1, consumer="bob"))
    assert one.shape is other.shape
    assert drafted(call(consumer=None)).shape is not one.shape
    names = [column.name for column in COLUMNS]
    assert "time_to_first_chunk" not in [names[place] for place in one.shape.present]


def test_who_gives_its_tokens_up_has_none_and_says_who_has_them() -> None:
    draft = drafted(call())
    draft.give_up("another")
    stored = dict(zip((column.name for column in COLUMNS), draft.row(), strict=True))
    assert stored | replies.TAKEN_OUT | {"counted_by": "another"} == stored
    assert draft.call.input_tokens is None


def test_nobody_gives_up_what_nobody_else_has() -> None:
    draft = drafted(call())
    draft.give_up(None)
    assert (draft.call.input_tokens, draft.counted_by) == (100, None)
