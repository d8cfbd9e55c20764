"""Replicate's predictions: made (`POST`), and fetched until they are done (`GET`), or their output as it comes.

Language models say their tokens in `metrics` once they have ended; a prediction is counted
by its id. The stream of its output says none.
Source: https://replicate.com/docs/reference/http#predictions.create and https://replicate.com/docs/topics/predictions/streaming
"""

from __future__ import annotations

import re
from dataclasses import replace

from llmtoken.exchange import Event, Exchange
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply, model_asked_for
from llmtoken.extract._fields import first_integer, mapping, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Prompt

_MODEL = re.compile(r"/models/([^/]+/[^/]+)/predictions")
_PENDING = ("starting", "processing")
_ENDED = ("succeeded", "failed", "canceled")


def request_model(exchange: Exchange) -> str | None:
    """`/models/{owner}/{name}/predictions`, or the version that was asked for."""
    found = _MODEL.search(exchange.path)
    return found[1] if found else model_asked_for(exchange) or text(mapping(exchange.request.json).get("version"))


def whole(body: Json, reply: Reply) -> None:
    """Read a prediction. Its status stands for the finish reason once it has ended."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    status = text(body.get("status"))
    reply.finish_reasons = [status] if status in _ENDED else []
    reply.pending = status in _PENDING
    reply.error_type = "error" if body.get("error") else reply.error_type
    metrics = mapping(body.get("metrics"))
    reply.usage = billable(
        input_tokens=first_integer(metrics, ("input_token_count", "token_input_count")),
        output_tokens=first_integer(metrics, ("output_token_count", "token_output_count")),
    )


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold `output` … `done`, or `error`."""
    for event in events:
        if event.name == "output":
            reply.output_ends.append(event.end)
        elif event.name == "done":
            reply.done = True
        elif event.name == "error":
            reply.error_type = "error"


def prompt(request: Json) -> Prompt | None:
    """The input's prompts."""
    asked = mapping(request.get("input"))
    return Prompt(texts=tuple(found for name in ("system_prompt", "prompt") if (found := text(asked.get(name)))))


API = Api(
    name="replicate.predictions",
    operation_name="text_completion",
    provider_name="replicate",
    path=r"/predictions",
    countable=False,
    looks_like=lambda _request, reply: "urls" in reply and "status" in reply and "input" in reply,
    request_model=request_model,
    whole=whole,
    prompt=prompt,
    completion=lambda body: _texts.text_completion(mapping(body.json).get("output")),
)
RETRIEVE = replace(API, path=r"/predictions/[^/]+(?:/cancel)?", methods=frozenset({"GET", "POST"}), fetches=True)
STREAM = replace(
    API,
    name="replicate.streams",
    path=r"/v1/streams/[^/]+",
    methods=frozenset({"GET"}),
    looks_like=lambda *_: False,
    streamed=streamed,
)
