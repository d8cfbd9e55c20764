"""NVIDIA Triton's and KServe's own API: `POST …/v2/models/{model}/generate`, `…/generate_stream`, `…/infer`.

Language models take a `text_input` and give a `text_output`, piece by piece when they stream. Counts are there when
they were asked for (`return_num_output_tokens`): of the output, each event has those of its own piece. `infer` serves
every kind of model, so it is a completion only where its tensors have these names.
Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_generate.md and
https://github.com/triton-inference-server/vllm_backend/blob/main/docs/additional_outputs.md
"""

from __future__ import annotations

import re
from dataclasses import replace

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply, in_path
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, items, mapping, mappings, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt

_MODEL = re.compile(r"/v2/models/([^/]+)/")
_INPUTS = ("text_input", "prompt", "QUERY")
_UNFINISHED = "None"
"""The word with which Python's backend says that there is no reason yet."""


def model_in_path(exchange: Exchange) -> str | None:
    """`/v2/models/{model}/…`."""
    return in_path(_MODEL, exchange)


def _tensors(value: Json, side: str) -> Json:
    """The named values: at the top of `generate`'s bodies, in lists of `infer`'s."""
    found = mappings(value.get(side))
    return {text(one.get("name")) or "": one.get("data") for one in found} if found else value


def _read(replies: list[Json], reply: Reply) -> None:
    """Read the pieces; several samples (`n`) have their counts in a list."""
    outputs = [_tensors(one, "outputs") for one in replies]
    reply.model = next((found for one in replies if (found := text(one.get("model_name")))), None)
    last: Json = outputs[-1] if outputs else {}
    reasons = items(last.get("finish_reason")) or [last.get("finish_reason")]
    reply.finish_reasons = [found for reason in reasons if (found := text(reason)) and found != _UNFINISHED]
    counted = (one.get("num_output_tokens") for one in outputs)
    made = total(*(integer(count) for counts in counted for count in (items(counts) or [counts])))
    read = items(last.get("num_input_tokens")) or [last.get("num_input_tokens")]
    reply.usage = billable(input_tokens=integer(read[0]), output_tokens=made)


def whole(body: Json, reply: Reply) -> None:
    """Read a reply."""
    _read([body], reply)


def inferred(body: Json, reply: Reply) -> None:
    """Read tensors."""
    _read([body], reply)
    if "text_output" not in _tensors(body, "outputs"):
        reply.operation_name = "infer"


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the pieces. There is no end mark, and mostly no reason why it ended."""
    pieces = [mapping(event.data) for event in events]
    _read(pieces, reply)
    reply.error_type = next((found for piece in pieces if (found := error_in(piece))), None)
    reply.output_ends = [event.end for event, piece in zip(events, pieces, strict=True) if piece.get("text_output")]
    reply.usage_is_final = bool(reply.finish_reasons)
    reply.finished = bool(reply.output_ends) and reply.error_type is None


def prompt(request: Json) -> Prompt | None:
    """The text."""
    inputs = _tensors(request, "inputs")
    asked = next((inputs[name] for name in _INPUTS if name in inputs), None)
    return None if asked is None else _texts.text_prompt(asked)


def completion(body: Body) -> Completion | None:
    """The text, if it is one."""
    outputs = [_tensors(mapping(value), "outputs").get("text_output") for value in _texts.values(body)]
    return Completion(texts=("".join(map(_texts.said, outputs)),)) if any(out is not None for out in outputs) else None


API = Api(
    name="triton.generate",
    operation_name="text_completion",
    provider_name="triton",
    path=r"/v2/models/[^/]+(?:/versions/[^/]+)?/generate(?:_stream)?",
    looks_like=lambda _request, reply: "model_name" in reply and "text_output" in reply,
    request_model=model_in_path,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
INFER = replace(
    API,
    name="triton.infer",
    path=r"/v2/models/[^/]+(?:/versions/[^/]+)?/infer",
    looks_like=lambda *_: False,
    whole=inferred,
)
