"""DeepInfra's own API by the model's name: `POST …/v1/inference/{model}`.

Every kind of model has its own members beside `inference_status`, which says tokens and cost. Streams of texts are
Hugging Face's, with the counts beside the details of the last chunk.
Source: https://deepinfra.com/docs/inference
"""

from __future__ import annotations

import re

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts, details, hugging_face_tgi
from llmtoken.extract._api import Api, Json, Reply, in_path
from llmtoken.extract._fields import first_integer, integer, mapping, mappings, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt

_MODEL = re.compile(r"/v1/inference/(.+?)/?$")
_MADE = (
    ("results", "text_completion"),
    ("embeddings", "embeddings"),
    ("scores", "rerank"),
    ("images", "image_generation"),
    ("image_url", "image_generation"),
    ("audio", "speech"),
    ("segments", "transcription"),
)
"""What a reply holds, and what was done then."""
_WITHOUT_OUTPUT = ("embeddings", "rerank")


def _model(exchange: Exchange) -> str | None:
    return in_path(_MODEL, exchange)


def _read(body: Json, reply: Reply) -> None:
    status = mapping(body.get("inference_status"))
    made = first_integer(status, ("tokens_generated",))
    if made is None:
        made = first_integer(body, ("num_output_tokens", "num_tokens"))
    read = first_integer(body, ("num_input_tokens", "input_tokens"))
    reply.usage = billable(
        input_tokens=integer(status.get("tokens_input")) if read is None else read,
        output_tokens=None if reply.operation_name in _WITHOUT_OUTPUT else made,
    )


def whole(body: Json, reply: Reply) -> None:
    """Read a reply of any kind of model."""
    reply.id = text(body.get("request_id"))
    reply.operation_name = next((done for made, done in _MADE if made in body), None)
    _read(body, reply)
    if text(mapping(body.get("inference_status")).get("status")) == "failed":
        reply.error_type = reply.error_type or "failed"


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold a token a chunk."""
    hugging_face_tgi.streamed(events, reply)
    for event in events:
        data = mapping(event.data)
        if "num_input_tokens" in data:
            _read(data, reply)
            details.read(data, reply.details)


def prompt(request: Json) -> Prompt | None:
    """The text, or the texts to embed."""
    asked = request.get("input") or request.get("inputs")
    return _texts.text_prompt(asked) if asked else None


def completion(body: Body) -> Completion | None:
    """The texts, if they are an answer."""
    if body.is_stream:
        return hugging_face_tgi.completion(body)
    results = mappings(mapping(body.json).get("results"))
    texts = tuple(_texts.said(one["generated_text"]) for one in results if "generated_text" in one)
    return Completion(texts=texts) if texts else None


API = Api(
    name="deepinfra.inference",
    operation_name="text_completion",
    provider_name="deepinfra",
    path=r"/v1/inference/[^/]+/[^/]+",
    looks_like=lambda _request, reply: "inference_status" in reply,
    request_model=_model,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
