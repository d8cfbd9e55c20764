"""IBM watsonx.ai's text generation and embeddings: `POST …/ml/v1/text/generation`, `…_stream`, `…/embeddings`.

Its chat (`…/ml/v1/text/chat`) answers in OpenAI's words, see `openai_chat`.
Source: https://cloud.ibm.com/apidocs/watsonx-ai
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import integer, mapping, mappings, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt, Usage


def _usage(results: list[Json]) -> Usage:
    return billable(
        input_tokens=total(*(integer(result.get("input_token_count")) for result in results)),
        output_tokens=total(*(integer(result.get("generated_token_count")) for result in results)),
    )


def generated(body: Json, reply: Reply) -> None:
    """Read the results of a generation."""
    results = mappings(body.get("results"))
    reply.model = text(body.get("model_id"))
    reply.usage = _usage(list(results))
    reply.finish_reasons = [reason for result in results if (reason := text(result.get("stop_reason")))]


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the results; the counts grow, the input's is on one of them, the last one says why it stopped."""
    input_tokens = output_tokens = 0
    for event in events:
        data = mapping(event.data)
        reply.model = reply.model or text(data.get("model_id"))
        for result in mappings(data.get("results")):
            if result.get("generated_text"):
                reply.output_ends.append(event.end)
            input_tokens = max(input_tokens, integer(result.get("input_token_count")) or 0)
            output_tokens = max(output_tokens, integer(result.get("generated_token_count")) or 0)
            if (reason := text(result.get("stop_reason"))) and reason != "not_finished":
                reply.finish_reasons = [reason]
                reply.done = reply.usage_is_final = True
    reply.usage = billable(input_tokens=input_tokens or None, output_tokens=output_tokens or None)


def embedded(body: Json, reply: Reply) -> None:
    """Read embeddings."""
    reply.model = text(body.get("model_id"))
    reply.usage = billable(input_tokens=integer(body.get("input_token_count")))


def prompt(request: Json) -> Prompt | None:
    """The input."""
    return _texts.text_prompt(request.get("input"))


def completion(body: Body) -> Completion | None:
    """The text."""
    results = (one for value in _texts.values(body) for one in mappings(mapping(value).get("results")))
    return Completion(texts=("".join(_texts.said(result.get("generated_text")) for result in results),))


API = Api(
    name="watsonx.generation",
    operation_name="text_completion",
    provider_name="ibm.watsonx.ai",
    path=r"/text/generation(?:_stream)?",
    looks_like=lambda request, reply: (
        "model_id" in request and any("generated_text" in one for one in mappings(reply.get("results")))
    ),
    whole=generated,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
EMBEDDINGS = replace(
    API,
    name="watsonx.embeddings",
    operation_name="embeddings",
    path=r"/text/embeddings",
    looks_like=lambda *_: False,
    whole=embedded,
    prompt=lambda request: _texts.text_prompt(request.get("inputs") or []),
    completion=lambda _body: None,
)
