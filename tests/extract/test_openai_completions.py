"""Legacy completions."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Prompt, Usage
from support.exchanges import exchange

PATH = "/v1/completions"
USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}


def chunk(text: str, finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m-1", "choices": [{"index": index, "text": text, "finish_reason": finish}], **fields}


def test_a_whole_reply_is_read() -> None:
    extraction = extract(exchange(PATH, {"model": "m", "prompt": "Hi"}, chunk("!", "length", usage=USAGE)))
    inference = extraction.inference
    assert (extraction.api, inference.operation_name) == ("openai.completions", "text_completion")
    assert (inference.response_id, inference.response_model, inference.finish_reasons) == ("c", "m-1", ("length",))
    assert inference.usage == Usage(input_tokens=4, output_tokens=2, total_tokens=6, source="reported")
    assert extraction.completion().texts == ("!",)


def test_a_stream_is_folded() -> None:
    events = [chunk("a"), chunk("b", index=1), chunk("c", "stop"), chunk("", "length", 1), "[DONE]"]
    extraction = extract(exchange(PATH, {"prompt": "Hi"}, events))
    assert extraction.complete
    assert extraction.inference.finish_reasons == ("stop", "length")
    assert extraction.completion().texts == ("ac", "b")


def test_a_stream_of_bare_pieces_is_whole_unless_somebody_cut_it() -> None:
    extraction = extract(exchange(PATH, {"prompt": "Hi"}, [{"value": "Hel"}, {"value": "lo"}]))
    assert extraction.complete
    assert extraction.completion().texts == ("Hello",)
    assert not extract(exchange(PATH, {"prompt": "Hi"}, [{"value": "Hel"}], aborted="upstream")).complete


def test_a_reply_that_is_all_prompt_has_an_input_and_no_output() -> None:
    reply = chunk("", "length", usage={"prompt_tokens": 11, "total_tokens": 11})
    usage = extract(exchange(PATH, {"prompt": "Hi", "max_tokens": 0}, reply)).inference.usage
    assert usage == Usage(input_tokens=11, total_tokens=11, source="reported")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Hi", Prompt(texts=("Hi",))),
        (["a", "b"], Prompt(texts=("a", "b"))),
        ([1, 2, 3], Prompt(token_count=3)),
        ([[1, 2], [3]], Prompt(token_count=3)),
        ([], Prompt()),
    ],
)
def test_a_prompt_is_texts_or_ready_tokens(prompt: Any, expected: Prompt) -> None:
    assert extract(exchange(PATH, {"prompt": prompt}, chunk("!"))).prompt() == expected
