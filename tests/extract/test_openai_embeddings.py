"""Embeddings."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Prompt, Usage
from support.exchanges import exchange

PATH = "/v1/embeddings"
ASK = {"model": "e", "input": ["Hi", "there"]}
DATA = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]


def test_an_embedding_has_an_input_and_no_output() -> None:
    reply = {"object": "list", "model": "e-1", "data": DATA, "usage": {"prompt_tokens": 2, "total_tokens": 2}}
    extraction = extract(exchange(PATH, ASK, reply))
    assert (extraction.api, extraction.inference.operation_name) == ("openai.embeddings", "embeddings")
    assert extraction.inference.response_model == "e-1"
    assert extraction.inference.usage == Usage(input_tokens=2, total_tokens=2, source="reported")
    assert extraction.prompt() == Prompt(texts=("Hi", "there"))
    assert extraction.completion() is None


def test_a_total_that_stands_alone_is_the_input() -> None:
    reply = {"object": "list", "data": DATA, "usage": {"total_tokens": 2}}
    usage = extract(exchange(PATH, ASK, reply)).inference.usage
    assert usage == Usage(input_tokens=2, total_tokens=2, source="reported")


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/v1/embeddings", {"vectors": [[0.1]], "total_tokens": 2, "base_resp": {"status_code": 0}}),
        ("/v1/embedding/text", {"embeddings": [[0.1]], "model": "e", "usage": {"total_tokens": 2}}),
        ("/api/v3/embeddings/multimodal", {"data": {"embedding": [0.1]}, "usage": {"total_tokens": 2}}),
    ],
)
def test_other_vendors_embeddings_differ_in_paths_and_names(path: str, reply: dict[str, Any]) -> None:
    extraction = extract(exchange(path, {"model": "e", "texts": ["Hi", "there"]}, reply))
    assert (extraction.api, extraction.problems) == ("openai.embeddings", ())
    assert extraction.inference.usage == Usage(input_tokens=2, total_tokens=2, source="reported")
    assert extraction.prompt() == Prompt(texts=("Hi", "there"))
