"""Tokens counted where the provider said nothing, and only there.

    count.complete(extraction) -> Inference

Where usage is reported it is left alone. Where it is missing, prompt and reply are counted
by the model's own encoding, or by the nearest with its family's factor; the usage's `source`
says so:

`estimated`  the reply was whole; what was said on both sides was counted.
`partial`    the reply was cut; what had arrived was counted, a reported side is kept.
`unknown`    there was nothing to count: no texts, or an operation that uses no tokens.

Works without a network, from any thread, in bounded time (`llmtoken.count.tokenizer`); the
first call loads an encoding, so it belongs in a worker. Must not know wire formats,
storage or HTTP.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from llmtoken.count import completion, prompt
from llmtoken.count.encodings import encoding_name, load
from llmtoken.count.families import family_of
from llmtoken.count.prompt import Parts
from llmtoken.count.tokenizer import Tokenizer
from llmtoken.inference import Completion, Extraction, Inference, Usage

log = logging.getLogger(__name__)


def complete(extraction: Extraction) -> Inference:
    """The extraction's inference, its usage filled where it is missing. Never raises."""
    inference = extraction.inference
    try:
        usage = _complete(extraction)
    except Exception:
        # A defect in reading the texts must not lose the record: its tokens stay unknown.
        log.exception("Could not count the tokens of a call to %s", inference.request_model)
        failures.add()
        return inference
    return inference if usage is inference.usage else replace(inference, usage=usage)


class Failures:
    """How many calls could not be counted because of an error of ours, since the start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def add(self) -> None:
        """Count one."""
        with self._lock:
            self._count += 1

    @property
    def total(self) -> int:
        """All so far."""
        return self._count


failures = Failures()


def _complete(extraction: Extraction) -> Usage:
    usage = extraction.inference.usage
    reported = usage.known or usage.total_tokens is not None
    # A whole reply that names one side only is believed: the other is zero or not to be had.
    if not extraction.countable or (reported and extraction.complete):
        return usage
    counter = _Counter(extraction)
    filled = usage
    if usage.input_tokens is None:
        filled = replace(filled, input_tokens=counter.input())
    if usage.output_tokens is None:
        filled = counter.output(filled)
    if filled == usage:
        return usage
    total = _total(extraction.inference, filled) if usage.total_tokens is None else usage.total_tokens
    return replace(filled, total_tokens=total, source="estimated" if extraction.complete else "partial")


def _total(inference: Inference, usage: Usage) -> int | None:
    """Both sides together; an embedding has no output, so its input is all there is."""
    if inference.operation_name == "embeddings":
        return usage.input_tokens
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens


class _Counter:
    """Counts both sides of one call with the encoding and the family of its model."""

    def __init__(self, extraction: Extraction) -> None:
        inference = extraction.inference
        self._extraction = extraction
        self._model = inference.response_model or inference.request_model
        self._family = family_of(extraction.api, inference.provider_name, self._model)
        self._tokenizer = Tokenizer(load(encoding_name(self._model)).encode_ordinary)

    def input(self) -> int | None:
        said = self._extraction.prompt()
        if said is None or not (said.messages or said.texts or said.token_count):
            return None
        return self._tokens(prompt.parts(said, self._family, self._model))

    def output(self, usage: Usage) -> Usage:
        said = self._extraction.completion()
        if said is None:
            return usage
        thought = self._reasoning(said)
        tokens = self._tokens(completion.parts(said, self._family)) + (thought or 0)
        return replace(usage, output_tokens=tokens, reasoning_output_tokens=thought)

    def _reasoning(self, said: Completion) -> int | None:
        return self._tokens(completion.reasoning(said, self._family)) if said.reasoning else None

    def _tokens(self, parts: Parts) -> int:
        return round(self._tokenizer.count(parts.texts) * self._family.ratio) + parts.tokens
