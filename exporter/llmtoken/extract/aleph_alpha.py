"""Aleph Alpha's completions: `POST …/complete`. What the model saw and made is counted beside the texts.

Anthropic's text completions have a path that ends alike; the bodies tell them apart.
Source: https://docs.aleph-alpha.com/api/complete/
"""

from __future__ import annotations

from llmtoken.exchange import Body
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import integer, mapping, mappings, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read the completions; the model's version stands beside them, without its name."""
    reply.id = text(body.get("id"))
    completions = mappings(body.get("completions"))
    reply.finish_reasons = [reason for one in completions if (reason := text(one.get("finish_reason")))]
    reply.usage = billable(
        input_tokens=integer(body.get("num_tokens_prompt_total")),
        output_tokens=integer(body.get("num_tokens_generated")),
    )


def prompt(request: Json) -> Prompt | None:
    """The prompt: a text, or items of which the texts are `data`."""
    asked = request.get("prompt")
    items = [item.get("data") for item in mappings(asked) if item.get("type") == "text"]
    return _texts.text_prompt(items or asked)


def completion(body: Body) -> Completion | None:
    """A text per completion."""
    completions = mappings(mapping(body.json).get("completions"))
    return Completion(texts=tuple(_texts.said(one.get("completion")) for one in completions))


API = Api(
    name="aleph_alpha.complete",
    operation_name="text_completion",
    provider_name="aleph_alpha",
    path=r"(?<!/v1)/complete",
    looks_like=lambda _request, reply: "num_tokens_generated" in reply,
    whole=whole,
    prompt=prompt,
    completion=completion,
)
