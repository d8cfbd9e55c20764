"""llama.cpp's own completion: `POST …/completion`, whole and streamed.

`tokens_evaluated` counts the whole prompt, `tokens_cached` what is in the cache afterwards,
which is no part of it.
Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, mapping, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read a completion, or the last chunk of one."""
    reply.model = text(body.get("model"))
    reply.usage = billable(
        input_tokens=integer(body.get("tokens_evaluated")), output_tokens=integer(body.get("tokens_predicted"))
    )
    reason = text(body.get("stop_type"))
    reply.finish_reasons = [reason] if reason and reason != "none" else []


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the chunks; the last one has `stop` and the counts."""
    for event in events:
        data = mapping(event.data)
        if data.get("content"):
            reply.output_ends.append(event.end)
        if data.get("stop") is True:
            whole(data, reply)
            details.read(data, reply.details)
            reply.done = reply.usage_is_final = True
        reply.error_type = error_in(data) or reply.error_type


def prompt(request: Json) -> Prompt | None:
    """The prompt: text, tokens or both."""
    return _texts.text_prompt(request.get("prompt"))


def completion(body: Body) -> Completion | None:
    """The text."""
    return Completion(texts=("".join(_texts.said(mapping(value).get("content")) for value in _texts.values(body)),))


API = Api(
    name="llama_cpp.completion",
    operation_name="text_completion",
    provider_name="llama_cpp",
    path=r"/(?:completion|infill)",
    looks_like=lambda _request, reply: (
        "tokens_predicted" in reply or ("content" in reply and "stop" in reply and "choices" not in reply)
    ),
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
