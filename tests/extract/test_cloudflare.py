"""Cloudflare's Workers AI: models by their names, in a wrapping of its own."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Message, Prompt, ToolCall, Usage
from support.exchanges import exchange
from support.samples import CHAT

PATH = "/client/v4/accounts/a/ai/run/@cf/maker/model"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
REPORTED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, source="reported")
HI = Prompt(messages=(Message(role="user", text="Hi"),))


def run(reply: Any, request: Any = CHAT, **fields: Any) -> Extraction:
    """A call of a model; a reply that isn't a stream is wrapped."""
    body = reply if isinstance(reply, list) else {"result": reply, "success": True, "errors": [], "messages": []}
    return extract(exchange(PATH, request, body, **fields))


def test_the_model_is_what_follows_in_the_path() -> None:
    assert run({"response": "Hello"}).inference.request_model == "@cf/maker/model"
    gateway = extract(exchange("/v1/a/g/workers-ai/@cf/maker/model", CHAT, {}))
    assert (gateway.api, gateway.inference.request_model) == ("cloudflare.run", "@cf/maker/model")


def test_an_answer_is_in_its_wrapping() -> None:
    call = {"name": "f", "arguments": {"a": 1}}
    extraction = run({"response": "Hello", "tool_calls": [call], "usage": USAGE})
    inference = extraction.inference
    assert (inference.provider_name, inference.operation_name, inference.tool_calls) == ("cloudflare", "chat", 1)
    assert inference.usage == REPORTED
    calls = (ToolCall(name="f", arguments='{"a": 1}'),)
    assert extraction.completion() == Completion(texts=("Hello",), tool_calls=calls)


def test_a_stream_says_its_usage_behind_the_pieces() -> None:
    pieces = [{"response": "Hel", "p": "ab"}, {"response": "lo"}, {}, {"response": "", "usage": USAGE}, "[DONE]"]
    whole, cut = run(pieces), run(pieces[:2], aborted="client")
    assert (whole.complete, whole.inference.usage, whole.inference.stream) == (True, REPORTED, True)
    assert (cut.complete, cut.inference.usage) == (False, Usage())
    assert whole.completion() == cut.completion() == Completion(texts=("Hello",))
    assert whole.prompt() == HI


def test_a_usage_behind_the_pieces_is_final_without_an_end_mark() -> None:
    cut = run([{"response": "Hello"}, {"response": "", "usage": USAGE}], aborted="client")
    assert (cut.complete, cut.inference.usage) == (True, REPORTED)


def test_json_that_was_asked_for_is_counted_as_text() -> None:
    assert run({"response": {"yes": True}}).completion() == Completion(texts=('{"yes": true}',))


def test_newer_models_answer_in_openais_words() -> None:
    message = {"content": "Hello", "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": "{}"}}]}
    chat = {"id": "c", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE}
    said = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    usage = {"input_tokens": 7, "output_tokens": 3}
    response = {"id": "r", "object": "response", "model": "m", "status": "completed", "output": [said], "usage": usage}
    read, other = run(chat), run(response, {"input": "Hi"})
    assert (read.inference.response_id, read.inference.finish_reasons) == ("c", ("stop",))
    assert (read.inference.tool_calls, read.inference.usage) == (1, REPORTED)
    assert (other.inference.response_id, other.inference.usage) == ("r", REPORTED)
    for extraction in (read, other):
        assert (completion := extraction.completion())
        assert completion.texts == ("Hello",)


def test_newer_models_stream_in_openais_words() -> None:
    chunk = {"id": "c", "model": "m", "choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}
    extraction = run([chunk, {"id": "c", "choices": [], "usage": USAGE}, "[DONE]"])
    assert (extraction.inference.response_id, extraction.inference.usage) == ("c", REPORTED)
    assert extraction.completion() == Completion(texts=("Hello",))


@pytest.mark.parametrize(
    ("result", "operation"),
    [
        ({"shape": [1, 2], "data": [[0.1, 0.2]]}, "embeddings"),
        ({"image": "aGk="}, "image_generation"),
        ({"audio": "aGk="}, "speech"),
        ({"text": "Hello", "word_count": 1}, "transcription"),
    ],
)
def test_what_else_is_made_says_no_tokens_and_is_no_answer(result: dict[str, Any], operation: str) -> None:
    extraction = run(result, {"prompt": "a cat"})
    assert extraction.inference.operation_name == operation
    assert (extraction.inference.usage, extraction.prompt(), extraction.completion()) == (Usage(), None, None)


def test_texts_to_embed_can_be_counted() -> None:
    assert run({"data": [[0.1]]}, {"text": ["a", "b"]}).prompt() == Prompt(texts=("a", "b"))
