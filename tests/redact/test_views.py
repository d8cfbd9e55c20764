"""A text seen otherwise, and the way back."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken.redact.views import joined, unescaped, unescaped_view

ESCAPED = st.text(alphabet='\\nrtbfu/"%40aé0\n5c', max_size=40)


@settings(deadline=None)
@given(ESCAPED)
def test_the_quick_way_and_the_way_with_a_way_back_see_the_same(text: str) -> None:
    assert unescaped_view(text.encode()).text == unescaped(text.encode())


@settings(deadline=None)
@given(ESCAPED, st.data())
def test_every_part_of_a_view_has_its_place_in_the_source(text: str, data: st.DataObject) -> None:
    view = unescaped_view(text.encode())
    if view.text:
        start = data.draw(st.integers(0, len(view.text) - 1))
        end = data.draw(st.integers(start + 1, len(view.text)))
        spans = view.source(start, end)
        assert len(spans) == 1
        again = unescaped(text.encode()[slice(*spans[0])])
        assert view.text[start:end] in again


@settings(deadline=None)
@given(st.text(alphabet='a@"\n\b\f/é.', max_size=20), st.integers(0, 4))
def test_json_in_json_is_unescaped_on_whatever_level(text: str, levels: int) -> None:
    wrapped = text
    for _ in range(levels):
        wrapped = json.dumps(wrapped)[1:-1]
    assert unescaped(wrapped.encode()) == text.encode()


def test_percent_signs_of_addresses_are_unescaped_too() -> None:
    assert unescaped(b"/v1?mail=a%40b.org&share=50%") == b"/v1?mail=a@b.org&share=50%"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=5), max_size=6), st.data())
def test_pieces_lead_back_to_where_they_stood(pieces: list[bytes], data: st.DataObject) -> None:
    source, spans = b"", []
    for piece in pieces:
        source += b"<"
        spans.append((len(source), len(source) + len(piece)))
        source += piece + b">"
    view = joined(source, spans)
    assert view.text == b"".join(pieces)
    start = data.draw(st.integers(0, len(view.text)))
    end = data.draw(st.integers(start, len(view.text)))
    assert b"".join(source[slice(*span)] for span in view.source(start, end)) == view.text[start:end]
