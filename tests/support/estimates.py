"""Recorded calls counted with their reported usage hidden, to be compared with it.

`table` counts each call by itself; `calibrated` lets the other calls of the same model teach first.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from msgspec.structs import replace

from llmtoken.count import Calibration, Comparison, Counter
from llmtoken.count.correction import LEAST
from llmtoken.count.families import family_of
from llmtoken.decode import decode
from llmtoken.extract import extract
from llmtoken.inference import Extraction, Prompt, Usage
from support import recordings

LIMIT = 64 * 1024 * 1024
OPENAI = ("openai", "azure.ai.openai")
CHAT = ("openai.chat", "openai.responses")


@dataclass(frozen=True, slots=True)
class Estimate:
    """One side of a call: what it belongs to, what was reported and what we count without being told."""

    id: str
    group: str
    reported: int
    counted: int

    @property
    def error(self) -> float:
        """How far off, as a share of what was reported."""
        return abs(self.counted - self.reported) / self.reported


@functools.cache
def load() -> tuple[Estimate, ...]:
    """Every recorded side that was reported, isn't 0, and that we count at all."""
    return tuple(estimate for recording in recordings.load() for estimate in _of(recording))


def _of(recording: recordings.Recording) -> Iterator[Estimate]:
    exchange = decode(recording.report, max_body_bytes=LIMIT)
    extraction = extract(exchange)
    told = extraction.inference.usage
    if told.source != "reported" or not extraction.complete:
        return
    hidden = replace(extraction.inference, usage=Usage())
    counted = Counter().complete(replace(extraction, inference=hidden)).usage
    if told.input_tokens and counted.input_tokens is not None:
        group = _input_group(extraction, exchange.request.json)
        yield Estimate(recording.id, group, told.input_tokens, counted.input_tokens)
    # Reasoning that is reported is shown as a summary or not at all: nobody could count it.
    if told.output_tokens and counted.output_tokens is not None and not told.reasoning_output_tokens:
        yield Estimate(recording.id, f"output {_family(extraction)}", told.output_tokens, counted.output_tokens)


def _family(extraction: Extraction) -> str:
    inference = extraction.inference
    name = family_of(extraction.api, inference.provider_name, inference.response_model or inference.request_model).name
    return name if name != "openai" or inference.provider_name in OPENAI else "unknown"


def _input_group(extraction: Extraction, request: Any) -> str:
    prompt = extraction.prompt()
    assert prompt
    if extraction.inference.provider_name not in OPENAI or extraction.api not in CHAT:
        return f"input {_family(extraction)}{_kind(prompt, request)}"
    return f"input OpenAI{_kind(prompt, request)}"


def _kind(prompt: Prompt, request: Any) -> str:
    if prompt.texts or prompt.token_count:
        return ", plain text"
    if _unseen(request):
        return ", with files, images or what the provider keeps"
    if any(message.tool_calls or message.role == "tool" for message in prompt.messages):
        return ", with tool history"
    if prompt.tools:
        return ", with tools"
    return ", with a schema" if prompt.response_schema else ", chat"


def _unseen(value: Any) -> bool:
    """Whether a request refers to something that isn't text in it."""
    if isinstance(value, list):
        return any(map(_unseen, value))
    if not isinstance(value, dict):
        return False
    if any(value.get(key) for key in ("previous_response_id", "conversation", "mcp_servers", "encrypted_content")):
        return True
    kind = value.get("type")
    media = isinstance(kind, str) and any(word in kind for word in ("image", "file", "document", "audio", "search"))
    return media or any(key in ("inlineData", "fileData", "image", "document") or _unseen(value[key]) for key in value)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: how well a group is counted."""

    group: str
    calls: int
    exact: float
    median: float
    mean: float

    def __str__(self) -> str:
        return f"{self.group:<75} {self.calls:>5} {self.exact:>7.0%} {self.median:>8.1%} {self.mean:>8.1%}"


HEADING = f"{'group':<75} {'calls':>5} {'exact':>7} {'median':>8} {'mean':>8}"


def row(group: str, estimates: Iterable[Estimate]) -> Row:
    """Sum up estimates. Median and mean are of the error."""
    taken = tuple(estimates)
    errors = [estimate.error for estimate in taken]
    exact = sum(estimate.counted == estimate.reported for estimate in taken) / len(taken)
    return Row(group, len(taken), exact, median(errors), mean(errors))


def table() -> dict[str, Row]:
    """Every group, and the output of all vendors but OpenAI together."""
    groups = defaultdict(list)
    for estimate in load():
        groups[estimate.group].append(estimate)
        if estimate.group.startswith("output") and not estimate.group.startswith("output openai"):
            groups["output, all other vendors"].append(estimate)
    return {group: row(group, groups[group]) for group in sorted(groups)}


@functools.cache
def comparisons() -> dict[tuple[str, str, str], tuple[Comparison, ...]]:
    """What a collector would learn from, by provider, model and token type."""
    found = defaultdict(list)
    for recording in recordings.load():
        extraction = extract(decode(recording.report, max_body_bytes=LIMIT))
        for seen in Counter(calibration=Calibration()).compare(extraction):
            found[seen.provider, seen.model, seen.token_type].append(seen)
    return {key: tuple(seen) for key, seen in found.items()}


def calibrated() -> dict[str, tuple[Row, Row]]:
    """By group: counted alone, and corrected by the other calls of the same model, where these are enough.

    Calls with the same numbers are left out of the others: they may be recordings of the same request.
    """
    alone, taught = defaultdict(list), defaultdict(list)
    for (provider, model, token_type), group in comparisons().items():
        for held_out in group:
            others = [seen for seen in group if (seen.counted, seen.reported) != (held_out.counted, held_out.reported)]
            if len(others) < LEAST:
                continue
            calibration = Calibration()
            calibration.learn(others)
            corrected = calibration.correct(provider, model, held_out.side, held_out.counted)
            vendor = "OpenAI" if provider in OPENAI else "other vendors"
            for name in dict.fromkeys((held_out.side, f"{token_type}, all")):
                alone[f"{name}, {vendor}"].append(Estimate("", name, held_out.reported, held_out.counted))
                taught[f"{name}, {vendor}"].append(Estimate("", name, held_out.reported, corrected))
    return {name: (row(name, alone[name]), row(f"{name}, corrected", taught[name])) for name in sorted(alone)}
