"""Hugging Face's text generation (TGI): `POST …/generate`, `…/generate_stream`, and models of the inference API.

Counts are in `details` where they were asked for, else in headers.
Source: https://huggingface.github.io/text-generation-inference/
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply, in_path, model_asked_for
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, items, mapping, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt, Usage

_MODEL = re.compile(r"/models/([^/]+(?:/[^/]+)?)$")


def request_model(exchange: Exchange) -> str | None:
    """`/models/{owner}/{name}` of the inference API."""
    return in_path(_MODEL, exchange) or model_asked_for(exchange)


def _usage(details: Json, headers: Mapping[str, str]) -> Usage:
    """`prefill` lists the prompt's tokens, when they were asked for; an empty list says nothing. LoRAX counts them."""
    counted = integer(details.get("prompt_tokens")) or len(items(details.get("prefill")))
    read = counted or integer(headers.get("x-prompt-tokens"))
    made = integer(details.get("generated_tokens"))
    return billable(
        input_tokens=read, output_tokens=made if made is not None else integer(headers.get("x-generated-tokens"))
    )


def whole(body: Json, reply: Reply) -> None:
    """Read a generation, with or without details."""
    details = mapping(body.get("details"))
    reply.usage = _usage(details, reply.headers)
    reason = text(details.get("finish_reason"))
    reply.finish_reasons = [reason] if reason else []


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold a token a chunk; the last one has the text and the details. A list of one is a whole reply."""
    for event in events:
        data = mapping(event.data)
        if mapping(data.get("token")).get("special") is False:
            reply.output_ends.append(event.end)
        if "generated_text" in data and data["generated_text"] is not None:
            whole(data, reply)
            reply.done = reply.usage_is_final = True
        reply.error_type = error_in(data) or reply.error_type


def prompt(request: Json) -> Prompt | None:
    """The inputs; others' servers have the same path, and their prompts elsewhere."""
    return _texts.text_prompt(request["inputs"]) if "inputs" in request else None


def completion(body: Body) -> Completion | None:
    """The text: whole where it came, else of the tokens that did; others' answers are none of no tokens."""
    values = list(map(mapping, _texts.values(body)))
    generated = [found for value in values if (found := text(value.get("generated_text"))) is not None]
    tokens = [mapping(value.get("token")) for value in values]
    pieces = [_texts.said(token.get("text")) for token in tokens if token.get("special") is False]
    if not (generated or pieces):
        return Completion(texts=("",)) if any("token" in value for value in values) else None
    return Completion(texts=tuple(generated) or ("".join(pieces),))


def looks_like(request: Json, reply: Json) -> bool:
    """Inputs in, and a generated text or tokens out."""
    return "generated_text" in reply or ("inputs" in request and bool(mapping(reply.get("token"))))


API = Api(
    name="hugging_face.generate",
    operation_name="text_completion",
    provider_name="hugging_face",
    path=r"(?<!/api)(?<!/v1)(?<!/image)/generate(?:_stream)?|/models/[^/:]+(?:/[^/:]+)?",
    looks_like=looks_like,
    request_model=request_model,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
