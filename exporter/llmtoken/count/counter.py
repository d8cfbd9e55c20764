"""Counting both sides of a call, and holding a few counts against reported usage."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from llmtoken.count import completion, prompt
from llmtoken.count.calibration import Calibration, Comparison
from llmtoken.count.correction import Side
from llmtoken.count.encodings import encoder, encoding_name, has_encoding
from llmtoken.count.families import family_of
from llmtoken.count.prompt import Parts
from llmtoken.count.remembered import Remembered
from llmtoken.count.tokenizer import Tokenizer
from llmtoken.count.tokenizer_files import TokenizerFiles
from llmtoken.inference import Completion, Extraction, Inference, Prompt, Usage, UsageSource


class Counter:
    """Counts with the tokenizers it was given, corrected by the calibration it was given, if any. From any thread."""

    def __init__(self, tokenizers: TokenizerFiles | None = None, calibration: Calibration | None = None) -> None:
        self._tokenizers = tokenizers or TokenizerFiles()
        self._calibration = calibration
        self._remembered = Remembered()

    def complete(self, extraction: Extraction) -> Inference:
        """The extraction's inference, its usage filled where it is missing.

        Raises what a defect in reading the texts raises, and nothing else.
        """
        inference = extraction.inference
        usage = inference.usage
        reported = usage.known or usage.total_tokens is not None
        # A whole reply that names one side only is believed: the other is zero or not to be had.
        if not extraction.countable or (reported and extraction.complete):
            return inference
        sides = Sides(extraction, self._tokenizers, self._remembered)
        filled = usage
        if usage.input_tokens is None and (said := sides.prompt()):
            filled = replace(filled, input_tokens=self._corrected(sides, _input_side(said), sides.input(said)))
        if usage.output_tokens is None and (answer := _answer(extraction)):
            thought = sides.reasoning(answer)
            output = self._corrected(sides, _output_side(answer), sides.answer(answer) + (thought or 0))
            shown = None if thought is None else min(thought, output)
            filled = replace(filled, output_tokens=output, reasoning_output_tokens=shown)
        if filled == usage:
            return inference
        total = _total(inference, filled) if usage.total_tokens is None else usage.total_tokens
        source: UsageSource = "estimated" if extraction.complete else "partial"
        return replace(inference, usage=replace(filled, total_tokens=total, source=source))

    def compare(self, extraction: Extraction) -> tuple[Comparison, ...]:
        """Both sides of a call whose usage was reported, counted all the same, when it is this call's turn.

        Left out are replies that were cut, and sides of which more was reported than is text:
        images, audio, reasoning that isn't shown.
        """
        inference = extraction.inference
        usage = inference.usage
        if usage.source != "reported" or not (extraction.complete and extraction.countable):
            return ()
        model = inference.response_model or inference.request_model or ""
        if self._calibration is None or not self._calibration.wants(inference.provider_name or "", model):
            return ()
        return tuple(self._compare(extraction))

    def _compare(self, extraction: Extraction) -> Iterator[Comparison]:
        usage = extraction.inference.usage
        sides = Sides(extraction, self._tokenizers, self._remembered)
        if usage.input_tokens and not usage.input_audio_tokens and (said := sides.prompt()) and _all_text(said):
            yield from self._held_against(sides, _input_side(said), sides.input(said), usage.input_tokens)
        hidden = usage.reasoning_output_tokens or usage.output_audio_tokens
        if usage.output_tokens and not hidden and (answer := extraction.completion()):
            counted = sides.answer(answer) + (sides.reasoning(answer) or 0)
            yield from self._held_against(sides, _output_side(answer), counted, usage.output_tokens)

    def _held_against(self, sides: Sides, side: Side, counted: int, reported: int) -> Iterator[Comparison]:
        if counted:
            estimated = self._corrected(sides, side, counted)
            yield Comparison(sides.provider, sides.model or "", side, counted, estimated, reported)

    def _corrected(self, sides: Sides, side: Side, counted: int) -> int:
        if self._calibration is None or (sides.exact and side in _EXACT):
            return counted
        return self._calibration.correct(sides.provider, sides.model or "", side, counted)


_EXACT: tuple[Side, ...] = ("input", "output")
"""What nothing need be learned of where encoding and frame are known: `Sides.exact`."""


class Sides:
    """Counts the sides of one call with the tokenizer and the family of its model, uncorrected."""

    def __init__(
        self, extraction: Extraction, tokenizers: TokenizerFiles, remembered: Remembered | None = None
    ) -> None:
        inference = extraction.inference
        self._extraction = extraction
        self.provider = inference.provider_name or ""
        self.model = inference.response_model or inference.request_model
        self.family = family_of(extraction.api, inference.provider_name, self.model)
        own = tokenizers.encoder(inference.response_model) or tokenizers.encoder(inference.request_model)
        nearest = encoding_name(self.model)
        self.encoding = "its own" if own else nearest
        self._tokenizer = Tokenizer(own or encoder(nearest), remembered)
        self.ratio = 1.0 if own else self.family.ratio
        """Tokens of the model for each of the tokenizer's."""
        openai = self.provider in ("openai", "azure.ai.openai") or has_encoding(self.model)
        self.exact = openai and own is None and self.family.name.startswith("openai")
        """Whether plain prompts and answers come out exact: OpenAI's models by their own encoding."""

    def prompt(self) -> Prompt | None:
        """What was asked, `None` where that isn't to be had."""
        said = self._extraction.prompt()
        return said if said and (said.messages or said.texts or said.token_count) else None

    def input(self, said: Prompt) -> int:
        """All that was asked."""
        return self._tokens(prompt.parts(said, self.family, self.model))

    def answer(self, said: Completion) -> int:
        """All that was said but the reasoning."""
        return self._tokens(completion.parts(said, self.family))

    def reasoning(self, said: Completion) -> int | None:
        """The reasoning as far as it is shown; `None` where none is."""
        return self._tokens(completion.reasoning(said, self.family)) if said.reasoning else None

    def _tokens(self, parts: Parts) -> int:
        return round(self._tokenizer.count(parts.texts) * self.ratio) + parts.tokens


def _answer(extraction: Extraction) -> Completion | None:
    """What was answered.

    A whole reply with neither a word nor a reason why it ended isn't one of 0 tokens, but laid out as we don't know.
    """
    answer = extraction.completion()
    speaks = answer is not None and (any(answer.texts) or answer.reasoning or answer.tool_calls)
    return answer if speaks or extraction.inference.finish_reasons or not extraction.complete else None


def _input_side(said: Prompt) -> Side:
    """Under which name a prompt is learned from."""
    return "input with tools" if said.tools else "input"


def _output_side(said: Completion) -> Side:
    return "output with calls" if said.tool_calls else "output"


def _all_text(said: Prompt) -> bool:
    return not any(message.images for message in said.messages)


def _total(inference: Inference, usage: Usage) -> int | None:
    """Both sides together; an embedding or a ranking has no output, so its input is all there is."""
    if inference.operation_name in ("embeddings", "rerank"):
        return usage.input_tokens
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens
