"""Usage in the providers' words, made billable."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract._usage import anthropic_usage, billable, openai_usage
from llmtoken.inference import Usage


def chat(prompt: int, completion: int, total: int, **more: Any) -> Usage:
    return openai_usage({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more})


def test_subsets_are_cut_to_their_totals() -> None:
    usage = billable(input_tokens=10, output_tokens=5, cache_read=90, cache_write=9, reasoning=7)
    assert (usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (10, 0)
    assert usage.reasoning_output_tokens == 5


def test_the_total_is_what_the_provider_says_else_the_sum_of_both_sides() -> None:
    assert billable(input_tokens=1, output_tokens=2, total_tokens=9).total_tokens == 9
    assert billable(input_tokens=1, output_tokens=2).total_tokens == 3
    assert billable(input_tokens=1).total_tokens is None


def test_zero_is_not_unknown() -> None:
    usage = chat(0, 0, 0, prompt_tokens_details={"cached_tokens": 0})
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (0, 0, 0)
    assert usage.reasoning_output_tokens is None


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}},
        {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}},
        {"prompt_tokens": 9, "prompt_token_details": {"cached_tokens": 4}},
        {"prompt_tokens": 9, "prompt_cache_hit_tokens": 4},
        {"prompt_tokens": 9, "cached_tokens": 4},
        {"prompt_tokens": 9, "num_cached_tokens": 4, "prompt_tokens_details": None},
        {"prompt_tokens": 9.0, "cache_read_input_tokens": "4"},
        {"input_tokens": 9, "input_tokens_details": {"text_tokens": 9}, "prompt_tokens_details": {"cached_tokens": 4}},
    ],
)
def test_cached_tokens_are_found_wherever_a_dialect_puts_them(usage: dict[str, Any]) -> None:
    assert openai_usage(usage) == Usage(input_tokens=9, cache_read_input_tokens=4)


def test_reasoning_outside_the_completion_is_given_away_by_the_total() -> None:
    usage = chat(12, 1, 303, completion_tokens_details={"reasoning_tokens": 290})
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (291, 290)


def test_reasoning_inside_the_completion_is_not_added() -> None:
    assert chat(12, 300, 312, completion_tokens_details={"reasoning_tokens": 290}).output_tokens == 300


def test_reasoning_that_is_billed_apart_is_outside_the_completion_and_the_total() -> None:
    assert chat(12, 100, 112, reasoning_tokens=900, citation_tokens=40).output_tokens == 1000


def test_reasoning_beside_the_completion_that_is_larger_than_it_is_cut_to_it_when_the_total_has_no_place_for_it() -> (
    None
):
    usage = chat(12, 100, 112, reasoning_tokens=103)
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (100, 100)


def test_a_part_that_is_said_to_be_larger_than_its_whole_is_cut_to_it() -> None:
    usage = chat(43, 10, 53, completion_tokens_details={"reasoning_tokens": 11})
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (10, 10)


def test_more_thoughts_than_a_gemini_completed_are_outside_whatever_the_total() -> None:
    said = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    usage = openai_usage({**said, "completion_tokens_details": {"reasoning_tokens": 25}}, "google/gemini-x")
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (27, 25)


def test_without_a_total_more_reasoning_than_completion_is_outside_it_wherever_it_is_said() -> None:
    said = {"prompt_tokens": 12, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 290}}
    assert openai_usage(said).output_tokens == 291


@pytest.mark.parametrize("name", ["cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"])
def test_what_was_written_to_a_cache_is_found_in_the_details(name: str) -> None:
    assert openai_usage({"prompt_tokens": 9, "prompt_tokens_details": {name: 4}}).cache_write_input_tokens == 4


def test_a_cache_outside_the_prompt_is_given_away_by_the_total() -> None:
    usage = chat(4, 5, 109, cache_read_input_tokens=60, cache_creation_input_tokens=40)
    assert usage.input_tokens == 104


def test_audio_outside_the_prompt_is_given_away_by_the_total() -> None:
    usage = chat(4, 5, 109, prompt_audio_seconds=8)
    assert (usage.input_tokens, usage.input_audio_tokens) == (104, 100)


def test_thoughts_that_only_the_total_of_a_gemini_knows_are_output() -> None:
    said = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 50}
    usage = openai_usage(said, "gemini-3-flash")
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (43, 40)
    assert openai_usage(said, "another").output_tokens == 3


@pytest.mark.parametrize("usage", [None, [], "x", 5, {}, {"prompt_tokens": "many"}])
def test_what_is_no_usage_is_unknown(usage: Any) -> None:
    assert openai_usage(usage) == Usage()


def test_anthropic_leaves_the_cache_out_of_the_input() -> None:
    usage = anthropic_usage(
        {"input_tokens": 3, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 10, "output_tokens": 5}
    )
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (33, 5, 38)


def test_anthropic_says_a_compaction_only_among_the_iterations() -> None:
    turns = [{"type": "compaction", "input_tokens": 180, "output_tokens": 35}, {"type": "message", "input_tokens": 23}]
    usage = anthropic_usage({"input_tokens": 23, "output_tokens": 10, "iterations": turns})
    assert (usage.input_tokens, usage.output_tokens) == (203, 45)
