"""Calls whose usage was reported, counted all the same: which, and what comes of it."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from llmtoken.count import Calibration, Comparison, Counter
from llmtoken.inference import Completion, Extraction, Image, Inference, Message, Prompt, Tool, ToolCall, Usage

ASKED = Prompt(messages=(Message(role="user", text="Say hello."),))
ANSWERED = Completion(texts=("Hello there!",))
DOUBLE = tuple((number, number * 2) for number in range(1, 20))
REPORTED = Usage(input_tokens=20, output_tokens=6, total_tokens=26, source="reported")


def extraction(usage: Usage = REPORTED, *, model: str = "phi-4", **fields: Any) -> Extraction:
    inference = Inference(operation_name="chat", provider_name="self_hosted", request_model=model, usage=usage)
    given: dict[str, Any] = {"api": "openai.chat", "prompt": lambda: ASKED, "completion": lambda: ANSWERED}
    return Extraction(inference=inference, **{**given, **fields})


def compare(asked: Extraction) -> list[tuple[str, int, int]]:
    return [(seen.side, seen.counted, seen.reported) for seen in Counter(calibration=Calibration()).compare(asked)]


def test_both_sides_are_counted_and_held_against_what_was_reported() -> None:
    assert compare(extraction()) == [("input", 10, 20), ("output", 3, 6)]


def test_a_prompt_with_tools_is_another_side() -> None:
    tools = replace(ASKED, tools=(Tool(name="wave"),))
    assert [side for side, _, _ in compare(extraction(prompt=lambda: tools))] == ["input with tools", "output"]


def test_a_reply_that_calls_a_tool_is_another_side() -> None:
    calling = Completion(tool_calls=(ToolCall(name="wave", arguments="{}"),))
    assert [side for side, _, _ in compare(extraction(completion=lambda: calling))] == ["input", "output with calls"]


def test_a_counter_that_does_not_learn_compares_nothing() -> None:
    def refuse() -> NoReturn:
        raise AssertionError("built for nothing")

    assert Counter().compare(extraction(prompt=refuse, completion=refuse)) == ()


@pytest.mark.parametrize(
    "fields",
    [{"usage": Usage()}, {"complete": False}, {"countable": False}, {"usage": replace(REPORTED, source="estimated")}],
)
def test_only_whole_replies_that_reported_their_usage_are_compared(fields: Any) -> None:
    assert compare(extraction(**fields)) == []


@pytest.mark.parametrize(
    "more", [{"reasoning_output_tokens": 5}, {"output_audio_tokens": 5}, {"output_tokens": 0}, {"output_tokens": None}]
)
def test_an_output_that_is_not_all_text_is_not_compared(more: Any) -> None:
    assert compare(extraction(replace(REPORTED, **more))) == [("input", 10, 20)]


@pytest.mark.parametrize("more", [{"input_audio_tokens": 5}, {"input_tokens": 0}, {"input_tokens": None}])
def test_an_input_that_is_not_all_text_is_not_compared(more: Any) -> None:
    assert compare(extraction(replace(REPORTED, **more))) == [("output", 3, 6)]


def test_a_prompt_with_images_is_not_compared() -> None:
    shown = Prompt(messages=(Message(role="user", text="What is this?", images=(Image(),)),))
    assert compare(extraction(prompt=lambda: shown)) == [("output", 3, 6)]


def test_texts_that_are_not_to_be_had_are_not_compared() -> None:
    assert compare(extraction(prompt=lambda: None, completion=lambda: None)) == []
    assert compare(extraction(prompt=Prompt, completion=Completion)) == []


def learned(*sides: str, model: str = "phi-4") -> Calibration:
    return Calibration(("self_hosted", model, side, DOUBLE) for side in sides)


def test_a_comparison_knows_what_would_have_been_said_and_how_far_that_is_off() -> None:
    told = replace(REPORTED, input_tokens=25)
    seen, _ = Counter(calibration=learned("input")).compare(extraction(told))
    assert seen == Comparison("self_hosted", "phi-4", "input", counted=10, estimated=20, reported=25)
    assert (seen.token_type, seen.ratio) == ("input", 0.8)


def test_what_was_learned_corrects_both_sides_of_a_call_without_usage() -> None:
    usage = Counter(calibration=learned("input", "output")).complete(extraction(Usage())).usage
    assert usage == Usage(input_tokens=20, output_tokens=6, total_tokens=26, source="estimated")


def test_what_has_arrived_of_a_cut_reply_is_corrected_too() -> None:
    usage = Counter(calibration=learned("input", "output")).complete(extraction(Usage(), complete=False)).usage
    assert usage == Usage(input_tokens=20, output_tokens=6, total_tokens=26, source="partial")


def test_corrected_output_is_never_less_than_its_reasoning() -> None:
    half = Calibration([("self_hosted", "phi-4", "output", tuple((twice, one) for one, twice in DOUBLE))])
    thinking = Completion(texts=("ok",), reasoning="Hello there! " * 50)
    usage = Counter(calibration=half).complete(extraction(Usage(), completion=lambda: thinking)).usage
    assert usage.output_tokens is not None
    assert usage.reasoning_output_tokens == usage.output_tokens


def test_what_is_exact_is_compared_but_never_corrected() -> None:
    """OpenAI's plain prompts and answers, whoever serves them: only a wrong report could teach otherwise."""
    counter = Counter(calibration=learned("input", "output", model="gpt-4o"))
    usage = counter.complete(extraction(Usage(), model="gpt-4o")).usage
    assert (usage.input_tokens, usage.output_tokens) == (10, 3)
    assert [seen.estimated for seen in counter.compare(extraction(model="gpt-4o"))] == [10, 3]


def test_what_tools_add_to_an_exact_prompt_is_learned() -> None:
    tools = replace(ASKED, tools=(Tool(name="wave"),))
    asked = extraction(Usage(), model="gpt-4o", prompt=lambda: tools)
    counter = Counter(calibration=learned("input with tools", model="gpt-4o"))
    alone, corrected = (each.complete(asked).usage.input_tokens for each in (Counter(), counter))
    assert alone is not None
    assert corrected == alone * 2
