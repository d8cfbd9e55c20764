"""Every field of every recorded exchange, against what a correct reader finds.

A table of agreement per API is printed (`pytest -s`). The recordings are not in the
repository; where they are missing the tests skip, in CI they fail.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from llmtoken.decode import decode
from llmtoken.extract import extract
from llmtoken.inference import Extraction
from support import recordings
from support.recordings import Recording

LIMIT = 64 * 1024 * 1024

Expected = dict[str, Any]


def total(expected: Expected) -> int | None:
    """Where the provider said no total, ours is the sum of both sides, when both are known."""
    said, sides = expected["total_tokens"], (expected["input_tokens_total"], expected["output_tokens_total"])
    return sum(sides) if said is None and None not in sides else said


FIELDS: dict[str, tuple[Callable[[Expected], Any], Callable[[Extraction], Any]]] = {
    "request model": (lambda e: e["request_model"], lambda x: x.inference.request_model),
    "response model": (lambda e: e["response_model"], lambda x: x.inference.response_model),
    "input": (lambda e: e["input_tokens_total"], lambda x: x.inference.usage.input_tokens),
    "output": (lambda e: e["output_tokens_total"], lambda x: x.inference.usage.output_tokens),
    "cache read": (lambda e: e["cached_input_tokens"], lambda x: x.inference.usage.cache_read_input_tokens),
    "cache write": (lambda e: e["cache_creation_tokens"], lambda x: x.inference.usage.cache_write_input_tokens),
    "reasoning": (lambda e: e["reasoning_tokens"], lambda x: x.inference.usage.reasoning_output_tokens),
    "total": (total, lambda x: x.inference.usage.total_tokens),
    "finish reasons": (lambda e: [str(r) for r in e["finish_reasons"]], lambda x: list(x.inference.finish_reasons)),
    "stream": (lambda e: e["stream"], lambda x: x.inference.stream),
    "error": (lambda e: e["error_type"], lambda x: x.inference.error_type),
    "tool calls": (lambda e: e["n_tool_calls"], lambda x: x.inference.tool_calls),
    "API": (lambda e: e["api"], lambda x: x.api),
}

AZURE_GROK = "the provider says more cached tokens than tokens; a subset never exceeds its total"
VOYAGE = "an embedding has no output, so its total, the only number that is said, is its input"
ARGUED: dict[tuple[str, str], str] = {
    ("43ad868f53328459", "cache read"): AZURE_GROK,
    ("ad3806c560d46537", "cache read"): AZURE_GROK,
    ("60feec657ce42b89", "cache read"): AZURE_GROK,
    ("5bd213e5bd48817d", "cache read"): AZURE_GROK,
    ("b4deb40ea0edb5ad", "cache read"): AZURE_GROK,
    ("555c9bb9f2cd465f", "cache read"): AZURE_GROK,
    ("dc88dd151ab25ddf", "cache read"): AZURE_GROK,
    ("49c809faf3e53584", "input"): VOYAGE,
    ("5949cfb2049814ef", "input"): VOYAGE,
    ("cfa25461347af815", "input"): VOYAGE,
    ("7bd70ceac97ad0bb", "output"): "a rerank says no tokens at all, so its output isn't 0 but unknown",
    ("ad5d72bbafc053de", "reasoning"): "usage.tokens.reasoning_tokens says 29",
    ("9beef1117d661122", "tool calls"): "4 calls whose arguments are streamed in 13 parts (willContinue)",
    ("be3908ef867d5320", "request model"): "the path names it: /v1/models/{owner}/{name}/predictions",
    ("be3908ef867d5320", "response model"): "the reply names it: model",
    ("171a875c5c036999", "text"): "each chunk has its text twice, as text and as delta",
}
"""Expectations that we hold to be wrong, and why."""
BATCH_RESULTS = "bd5a547e1329ba47"
"""Results of a batch: each line has a usage and a model, which the expectation leaves out."""


@functools.cache
def readings() -> list[tuple[Recording, Extraction]]:
    """Every recording, read."""
    return [(one, extract(decode(one.report, max_body_bytes=LIMIT))) for one in recordings.load()]


def argued(recording: Recording, field: str) -> bool:
    return (recording.id, field) in ARGUED or recording.id == BATCH_RESULTS


@pytest.mark.parametrize("field", FIELDS)
def test_every_recording_is_read_exactly(field: str) -> None:
    wanted, found = FIELDS[field]
    wrong = [
        f"{recording.id} {recording.expected['api']} {recording.expected['vendor']}: "
        f"{wanted(recording.expected)!r} expected, {found(extraction)!r} read"
        for recording, extraction in readings()
        if wanted(recording.expected) != found(extraction) and not argued(recording, field)
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_argued_does_differ() -> None:
    by_id = {recording.id: (recording, extraction) for recording, extraction in readings()}
    for identity, field in ARGUED:
        if field == "text":
            continue
        recording, extraction = by_id[identity]
        wanted, found = FIELDS[field]
        assert wanted(recording.expected) != found(extraction), f"{identity} agrees on {field}: take it off the list"


def test_every_recording_is_complete_and_its_usage_reported() -> None:
    for recording, extraction in readings():
        usage = extraction.inference.usage
        assert extraction.complete or recording.expected["error_type"], recording.id
        assert usage.source == ("reported" if usage.known else "unknown"), recording.id


def test_no_recording_is_unknown_or_generic() -> None:
    assert [(recording.id, extraction.problems) for recording, extraction in readings() if extraction.problems] == []


def test_texts_can_be_collected_from_every_recording(caplog: pytest.LogCaptureFixture) -> None:
    for _, extraction in readings():
        extraction.prompt()
        extraction.completion()
    assert not caplog.records


def test_the_text_of_every_reply_is_found() -> None:
    """Where the expectation found one: it knows neither refusals nor the newest APIs."""
    for recording, extraction in readings():
        wanted, completion = recording.expected["output_text_chars"], extraction.completion()
        if wanted and not argued(recording, "text"):
            assert completion is not None
            assert sum(map(len, completion.texts)) == wanted, recording.id


def test_the_agreement_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    table = agreement()
    with capsys.disabled():
        sys.stdout.write(f"\n{table}\n")
    assert len(table.splitlines()) > len({recording.expected["api"] for recording, _ in readings()})


def agreement() -> str:
    """A line per API: how many recordings agree in each field. Argued expectations count as disagreement."""
    of, agreeing = Counter[str](), Counter[tuple[str, str]]()
    for recording, extraction in readings():
        api = recording.expected["api"]
        of[api] += 1
        for field, (wanted, found) in FIELDS.items():
            agreeing[api, field] += wanted(recording.expected) == found(extraction)
    lines = [f"{'API':36}{'n':>5}  " + "  ".join(FIELDS)]
    for api, number in of.most_common():
        shares = ((f, agreeing[api, f]) for f in FIELDS)
        cells = (f"{'✓' if share == number else f'{share}/{number}':>{len(f)}}" for f, share in shares)
        lines.append(f"{api:36}{number:5}  " + "  ".join(cells))
    sums = (f"{sum(agreeing[api, f] for api in of):>{len(f)}}" for f in FIELDS)
    lines.append(f"{'all':36}{of.total():5}  " + "  ".join(sums))
    return "\n".join(lines)
