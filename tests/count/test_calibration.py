"""What a model's own traffic teaches, and what it must not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from llmtoken.count.calibration import LONGEST_WAIT, MODELS, PAID, RARELY, WINDOW, Calibration, Comparison, Lesson
from llmtoken.count.correction import LEAST, Pair, Side

NAMES = ("openai", "gpt-4o")

DOUBLE = tuple((number, number * 2) for number in range(100, 100 + LEAST))
"""Just enough to learn that twice as much is reported as we count."""


def seen(counted: int, reported: int, *, model: str = "gpt-4o", side: Side = "input") -> Comparison:
    return Comparison("openai", model, side, counted, counted, reported)


def taught(*pairs: Pair, side: Side = "input") -> Calibration:
    calibration = Calibration()
    calibration.learn(seen(counted, reported, side=side) for counted, reported in pairs)
    return calibration


def kept(calibration: Calibration) -> list[Lesson]:
    lessons: list[Lesson] = []
    calibration.keep(lessons.extend)
    return lessons


# ── What is learned ─────────────────────────────────────────────────────────────────────


def test_another_tokenizer_is_learned_as_a_ratio() -> None:
    calibration = taught(*((n, round(n * 1.3)) for n in (50, 80, 120, 200, 700, 900)))
    assert calibration.correct(*NAMES, "input", 400) == 520


def test_a_prompt_that_the_provider_adds_is_learned_as_an_offset() -> None:
    calibration = taught(*((n, n + 190) for n in (5, 8, 12, 20, 70, 900)))
    assert calibration.correct(*NAMES, "input", 40) == 230


def test_both_are_learned_together_where_both_are_there() -> None:
    calibration = taught(*((n, round(n * 1.3) + 190) for n in (5, 40, 80, 120, 200, 700, 900)))
    assert calibration.correct(*NAMES, "input", 400) == pytest.approx(710, abs=2)


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_count_that_is_right_already_is_left_alone(side: Side) -> None:
    calibration = taught(*((n, n) for n in (5, 8, 12, 20, 70, 900)), (9, 1000), side=side)
    assert calibration.correct(*NAMES, side, 33) == 33


def test_a_token_more_or_less_is_no_reason_to_correct() -> None:
    calibration = taught((8, 9), (8, 9), (9, 10), (10, 11), (12, 13), (66, 69))
    assert calibration.correct(*NAMES, "input", 8) == 8


@pytest.mark.parametrize("odd", [(10, 5000), (5000, 10), (1, 1), (1, 10**9), (10**9, 1)])
def test_a_minority_of_odd_calls_changes_nothing(odd: Pair) -> None:
    good = [(n, round(n * 1.3)) for n in (50, 80, 120, 200, 700, 900)]
    assert taught(*good, odd, odd).correct(*NAMES, "input", 400) == pytest.approx(520, rel=0.01)


def test_a_few_calls_are_not_believed() -> None:
    assert taught(*DOUBLE[1:]).correct(*NAMES, "input", 100) == 100
    assert taught(*DOUBLE).correct(*NAMES, "input", 100) == 200


def test_a_call_that_is_made_again_and_again_counts_once() -> None:
    assert taught(*[(100, 200)] * WINDOW).correct(*NAMES, "input", 100) == 100
    probed = taught(*DOUBLE, *[(7, 7)] * WINDOW)
    assert probed.correct(*NAMES, "input", 100) == 200


def test_what_is_learned_of_one_thing_is_not_applied_to_another() -> None:
    calibration = taught(*DOUBLE)
    assert calibration.correct("openai", "gpt-4.1", "input", 100) == 100
    assert calibration.correct("azure.ai.openai", "gpt-4o", "input", 100) == 100
    assert calibration.correct(*NAMES, "input with tools", 100) == 100
    assert calibration.correct(*NAMES, "output", 100) == 100


def test_nothing_stays_nothing() -> None:
    assert taught(*DOUBLE).correct(*NAMES, "input", 0) == 0


def test_old_calls_are_forgotten_when_the_provider_changes() -> None:
    before = [(number, number * 2) for number in range(100, 100 + WINDOW)]
    after = [(number * 10, number * 13) for number in range(100, 100 + WINDOW)]
    assert taught(*before, *after).correct(*NAMES, "input", 100) == 130


# ── Whose turn it is ────────────────────────────────────────────────────────────────────


def test_every_call_is_compared_until_a_model_is_known_well_then_few() -> None:
    calibration = Calibration()
    for _ in range(WINDOW):
        assert calibration.wants(*NAMES)
        calibration.learn([seen(1, 1), seen(1, 1, side="output")])
    turns = [calibration.wants(*NAMES) for _ in range(RARELY * 4)]
    assert turns.count(True) == 4
    assert calibration.wants("openai", "another")


def test_calls_that_take_long_to_compare_are_compared_more_rarely() -> None:
    calibration = Calibration()
    for number in range(WINDOW):
        assert calibration.wants(*NAMES)
        calibration.learn([seen(1500 + number, 1500)])
    while not calibration.wants(*NAMES):
        pass
    calibration.learn([seen(PAID * 1000, 1500)])
    turns = [calibration.wants(*NAMES) for _ in range(1000 + RARELY)]
    assert [number for number, turn in enumerate(turns, 1) if turn] == [1000 + RARELY]
    calibration.learn([seen(2**39, 1500)])
    turns = [calibration.wants(*NAMES) for _ in range(LONGEST_WAIT + RARELY)]
    assert turns.index(True) == LONGEST_WAIT + RARELY - 1


@pytest.mark.parametrize("model", ["", "x" * 1000, "a\0b", "\ud800", "two\nlines"])
def test_a_model_without_a_decent_name_is_not_learned(model: str) -> None:
    assert not Calibration().wants("openai", model)


# ── What is remembered ──────────────────────────────────────────────────────────────────


def test_what_was_kept_is_known_again() -> None:
    lessons = kept(taught(*DOUBLE))
    again = Calibration(lessons)
    assert again.correct(*NAMES, "input", 100) == 200
    assert kept(again) == []


def test_only_what_has_changed_is_kept() -> None:
    calibration = taught((1, 2))
    assert kept(calibration) == [("openai", "gpt-4o", "input", ((1, 2),))]
    assert kept(calibration) == []
    calibration.learn([seen(3, 4, side="output")])
    assert kept(calibration) == [("openai", "gpt-4o", "output", ((3, 4),))]


def test_keeping_waits_until_it_is_worth_it() -> None:
    calibration = taught((1, 2), (3, 4))
    lessons: list[Lesson] = []
    calibration.keep(lessons.extend, least=3)
    assert lessons == []
    calibration.learn([seen(5, 6)])
    calibration.keep(lessons.extend, least=3)
    assert [lesson.pairs for lesson in lessons] == [((1, 2), (3, 4), (5, 6))]


def test_what_could_not_be_kept_is_tried_again() -> None:
    def refuse(_: Sequence[Lesson]) -> None:
        raise OSError("the disk is full")

    calibration = taught((1, 2))
    with pytest.raises(OSError, match="full"):
        calibration.keep(refuse)
    calibration.learn([seen(3, 4)])
    assert kept(calibration) == [("openai", "gpt-4o", "input", ((1, 2), (3, 4)))]


def test_models_not_met_for_long_are_forgotten_here_and_where_they_are_kept() -> None:
    calibration = taught(*DOUBLE)
    kept(calibration)
    for number in range(MODELS):
        calibration.learn([seen(1, 1, model=f"model-{number}")])
    assert calibration.correct(*NAMES, "input", 100) == 100
    lessons = kept(calibration)
    assert ("openai", "gpt-4o", "input", ()) in lessons
    assert len(lessons) == MODELS + 1


def test_numbers_without_sense_are_not_learned() -> None:
    calibration = taught(*((number, 10**400) for number in range(1, 20)))
    assert calibration.correct(*NAMES, "input", 100) == 100
    assert kept(calibration) == []


@pytest.mark.parametrize(
    "strange",
    [
        ("openai", "gpt-4o", "sideways", DOUBLE),
        ("openai", "gpt-4o", "input", ()),
        ("openai", "gpt-4o", "input", ((100, 0),) * LEAST),
        ("openai", "gpt-4o", "input", ((100,), ("a", "b"), (1, 2, 3), 4, None)),
    ],
)
def test_a_lesson_that_makes_no_sense_here_is_left_out(strange: Any) -> None:
    assert Calibration([strange]).correct(*NAMES, "input", 100) == 100
