"""One JSON value, however nearly it is one."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.decode import values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)
OBJECT = st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=5)


@given(value=OBJECT)
@settings(deadline=None)
def test_every_json_value_is_read_as_the_standard_library_reads_it(value: dict[str, Any]) -> None:
    assert values.parse(json.dumps(value).encode()) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'\xef\xbb\xbf {"a": 1}', {"a": 1}),
        (b'{"a": "one\ntwo\x01"}', {"a": "one\ntwo\x01"}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": NaN, "b": Infinity, "c": -Infinity}', {"a": None, "b": None, "c": None}),
        (b'{"a": 1e999, "b": -1e999, "c": 1.5}', {"a": None, "b": None, "c": 1.5}),
        (b'{"a": %d}' % 2**200, {"a": 2**200}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": None}),
        (b'{"a": 1' + b"0" * 400 + b".5}", {"a": None}),
    ],
    ids=[
        "byte order mark",
        "control characters",
        "not UTF-8",
        "duplicate key",
        "NaN",
        "out of range",
        "large integer",
        "endless integer",
        "endless float",
    ],
)
def test_nearly_json_is_read(data: bytes, value: Any) -> None:
    assert values.parse(data) == value


@pytest.mark.parametrize("lone", [r"\ud800", r"\uDC00", r"\ud800\ud800", r"\udc00\ud800", r"\ud800\n"])
def test_a_lone_surrogate_becomes_a_replacement_character(lone: str) -> None:
    value = values.parse(f'{{"a": "x{lone}y"}}'.encode())["a"]
    assert value.replace("\n", "") in ("x\ufffdy", "x\ufffd\ufffdy")
    value.encode()


@pytest.mark.parametrize("kept", [r"\ud83d\ude42", r"\\ud800", r"\uD83D\uDE42", r"é"])
def test_what_only_looks_like_a_lone_surrogate_is_kept(kept: str) -> None:
    beside_a_lone_one = values.parse(f'{{"a": "{kept}", "b": "\\ud800"}}'.encode())
    assert beside_a_lone_one == {"a": json.loads(f'"{kept}"'), "b": "\ufffd"}


def test_json_inside_a_json_string_is_unwrapped() -> None:
    assert values.parse(json.dumps('{"model": "m"}').encode()) == {"model": "m"}
    assert values.parse(b'"{not json"') == "{not json"
    assert values.parse(b'"hello"') == "hello"


@pytest.mark.parametrize("data", [b"", b"[DONE]", b'{"a": 1} {"b": 2}', b"<html>", b'{"a": ', b"{'a': 1}"])
def test_what_is_not_one_json_value_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        values.parse(data)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":[', b"[\xff,"])
def test_deep_nesting_is_refused_not_suffered(opening: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        values.parse(opening * 100_000)
    with pytest.raises(ValueError, match=r".+"):
        values.salvage(opening * 100_000)


def test_of_a_cut_object_the_members_that_arrived_are_salvaged() -> None:
    cut = b'{"model": "m", "messages": [{"role": "user", "content": "Tell me ab'
    assert values.salvage(cut) == {"model": "m", "messages": [{"role": "user", "content": "Tell me ab"}]}


@pytest.mark.parametrize("cut", [b'{"a": 1, "tokens": 12', b'{"a": 1, "tokens": -', b'{"a": 1, "tokens": 1.5e'])
def test_a_cut_number_is_left_out(cut: bytes) -> None:
    assert values.salvage(cut) == {"a": 1}


def test_a_value_with_rubbish_behind_it_is_had_from_the_error() -> None:
    with pytest.raises(values.Trailing) as refused:
        values.parse(b'{"a": 1}<br>')
    assert refused.value.value == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"12", b"hello", b"{hello}", b"[INFO] started", b'{"a" x'])
def test_what_never_was_json_is_not_salvaged(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        values.salvage(data)


@given(value=OBJECT, data=st.data())
@settings(deadline=None)
def test_salvage_never_makes_up_a_number(value: dict[str, Any], data: st.DataObject) -> None:
    whole = json.dumps(value).encode()
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    assert set(numbers(values.salvage(cut))) <= set(numbers(json.loads(whole)))


def numbers(value: Any) -> list[float]:
    """All numbers in a value."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else []


@pytest.mark.parametrize(
    ("cut", "names"),
    [
        ('{"usage": {"a": 1}, "id', set()),
        ('{"usage": {"a": 1', {"usage"}),
        ('{"usage": {"a": {"b": 1}', {"usage"}),
        ('{"choices": [{"message": {"content": "} ] \\" {', {"choices", "message"}),
        ('[{"a": [1, 2], "b": [[', {"b"}),
        ("", set()),
    ],
)
def test_what_a_cut_left_open_is_known_by_name(cut: str, names: set[str]) -> None:
    assert values.left_open(cut) == names
