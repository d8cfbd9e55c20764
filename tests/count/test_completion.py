"""A reply is taken apart into what was written and the frame around it."""

from __future__ import annotations

from llmtoken.count import completion
from llmtoken.count.families import Family
from llmtoken.inference import Completion, ToolCall

FAMILY = Family(name="test", models="", text=1, reasoning=10, call=100)


def test_each_choice_with_a_text_is_framed() -> None:
    parts = completion.parts(Completion(texts=("one", "", "two")), FAMILY)
    assert (parts.texts, parts.tokens) == (["one", "two"], 2)


def test_tool_calls_are_framed_and_counted_by_name_and_arguments() -> None:
    parts = completion.parts(Completion(tool_calls=(ToolCall(name="look", arguments="{}"),)), FAMILY)
    assert (parts.texts, parts.tokens) == (["look", "{}"], 100)


def test_reasoning_stands_apart() -> None:
    said = Completion(texts=("four",), reasoning="two and two")
    parts = completion.reasoning(said, FAMILY)
    assert (parts.texts, parts.tokens) == (["two and two"], 10)
    assert completion.parts(said, FAMILY).texts == ["four"]


def test_no_reasoning_costs_nothing() -> None:
    assert completion.reasoning(Completion(texts=("four",)), FAMILY).tokens == 0
