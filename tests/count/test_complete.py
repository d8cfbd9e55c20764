"""Usage is filled where it is missing, and only there; where it came from is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from llmtoken.count import Counter
from llmtoken.inference import Completion, Extraction, Inference, Message, Prompt, ToolCall, Usage

ASKED = Prompt(messages=(Message(role="user", text="Say hello."),))
ANSWERED = Completion(texts=("Hello there!",))


def extraction(usage: Usage | None = None, **fields: Any) -> Extraction:
    inference = Inference(operation_name="chat", provider_name="openai", request_model="gpt-4o", usage=usage or Usage())
    given: dict[str, Any] = {"api": "openai.chat", "prompt": lambda: ASKED, "completion": lambda: ANSWERED}
    return Extraction(inference=inference, **{**given, **fields})


def test_a_whole_reply_without_usage_is_estimated() -> None:
    usage = Counter().complete(extraction()).usage
    assert usage == Usage(input_tokens=10, output_tokens=3, total_tokens=13, source="estimated")


def test_a_cut_reply_is_counted_as_far_as_it_came() -> None:
    usage = Counter().complete(extraction(complete=False)).usage
    assert usage == Usage(input_tokens=10, output_tokens=3, total_tokens=13, source="partial")


def test_a_cut_reply_that_never_began_has_no_output_yet() -> None:
    usage = Counter().complete(extraction(complete=False, completion=Completion)).usage
    assert usage == Usage(input_tokens=10, output_tokens=0, total_tokens=10, source="partial")


def test_a_whole_reply_without_a_word_is_not_one_of_no_tokens() -> None:
    usage = Counter().complete(extraction(completion=lambda: Completion(texts=("",)))).usage
    assert usage == Usage(input_tokens=10, source="estimated")


def test_an_answer_that_ended_without_a_word_has_no_tokens() -> None:
    silent = extraction(completion=Completion)
    usage = Counter().complete(replace(silent, inference=replace(silent.inference, finish_reasons=("stop",)))).usage
    assert usage == Usage(input_tokens=10, output_tokens=0, total_tokens=10, source="estimated")


def test_the_reported_side_of_a_cut_reply_is_kept() -> None:
    reported = Usage(input_tokens=500, cache_read_input_tokens=400, source="reported")
    usage = Counter().complete(extraction(reported, complete=False)).usage
    assert usage == replace(reported, output_tokens=3, total_tokens=503, source="partial")


@pytest.mark.parametrize(
    "reported",
    [
        Usage(input_tokens=1, output_tokens=2, total_tokens=99, source="reported"),
        Usage(input_tokens=1, source="reported"),
        Usage(output_tokens=2, source="reported"),
        Usage(total_tokens=3, source="reported"),
        Usage(input_tokens=0, output_tokens=0, source="reported"),
    ],
)
def test_what_a_whole_reply_reported_is_left_alone(reported: Usage) -> None:
    assert Counter().complete(extraction(reported)).usage is reported


def test_a_cut_reply_that_reported_both_sides_is_left_alone() -> None:
    reported = Usage(input_tokens=1, output_tokens=2, source="reported")
    assert Counter().complete(extraction(reported, complete=False)).usage == reported


def test_an_operation_without_tokens_is_not_counted() -> None:
    assert Counter().complete(extraction(countable=False)).usage == Usage()


@pytest.mark.parametrize("nothing", [lambda: None, Prompt])
def test_without_texts_usage_is_unknown(nothing: Callable[[], Prompt | None]) -> None:
    assert Counter().complete(extraction(prompt=nothing, completion=lambda: None)).usage == Usage(source="unknown")


def test_a_side_whose_text_is_not_to_be_had_stays_unknown() -> None:
    usage = Counter().complete(extraction(prompt=lambda: None)).usage
    assert usage == Usage(output_tokens=3, source="estimated")


def test_an_embedding_has_an_input_only() -> None:
    asked = extraction(prompt=lambda: Prompt(texts=("hello world",), token_count=4), completion=lambda: None)
    asked = replace(asked, inference=replace(asked.inference, operation_name="embeddings"))
    assert Counter().complete(asked).usage == Usage(input_tokens=6, total_tokens=6, source="estimated")


def test_visible_reasoning_is_part_of_the_output() -> None:
    thinking = extraction(completion=lambda: Completion(texts=("Hello there!",), reasoning="Say hello."))
    usage = Counter().complete(thinking).usage
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (6, 3)


def test_tool_calls_are_part_of_the_output() -> None:
    calling = extraction(completion=lambda: Completion(tool_calls=(ToolCall(name="wave", arguments="{}"),)))
    assert Counter().complete(calling).usage.output_tokens == 1 + 1 + 8


def test_the_model_that_answered_decides_how_it_is_counted() -> None:
    """`gpt-4` splits Hebrew into more tokens than `gpt-4o`."""
    asked = extraction(prompt=lambda: Prompt(texts=("שלום עולם",)))
    older = replace(asked, inference=replace(asked.inference, response_model="gpt-4-0613"))
    newer, older_count = (Counter().complete(one).usage.input_tokens for one in (asked, older))
    assert newer is not None
    assert older_count is not None
    assert newer < older_count


def test_another_vendors_tokens_are_scaled() -> None:
    said = Completion(texts=("word " * 1000,))
    theirs = extraction(completion=lambda: said)
    theirs = replace(theirs, inference=replace(theirs.inference, request_model="claude-opus-4-8"))
    output = Counter().complete(theirs).usage.output_tokens
    assert output == pytest.approx(1460, abs=5)


def test_everything_else_is_kept() -> None:
    asked = extraction()
    assert replace(Counter().complete(asked), usage=Usage()) == asked.inference


def test_texts_are_not_built_when_usage_is_reported() -> None:
    def refuse() -> NoReturn:
        raise AssertionError("built for nothing")

    reported = Usage(input_tokens=1, output_tokens=2, source="reported")
    assert Counter().complete(extraction(reported, prompt=refuse, completion=refuse)).usage is reported


def test_an_error_of_ours_is_not_hidden() -> None:
    def broken() -> NoReturn:
        raise RuntimeError("a defect in reading")

    with pytest.raises(RuntimeError, match="a defect"):
        Counter().complete(extraction(prompt=broken))
