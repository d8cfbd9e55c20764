"""Cohere's embed: `POST …/embed`, v1 and v2. TEI has the same path and says its tokens in a header.

Source: https://docs.cohere.com/reference/embed
"""

from __future__ import annotations

from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import mapping, text
from llmtoken.extract._usage import computed_usage
from llmtoken.extract.cohere_chat import cohere_usage
from llmtoken.inference import Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read the embeddings."""
    reply.id = text(body.get("id"))
    usage = cohere_usage(mapping(body.get("meta")))
    reply.usage = usage if usage.known else computed_usage(reply.headers)


def prompt(request: Json) -> Prompt | None:
    """The texts to embed: Cohere's `texts`, TEI's `inputs`."""
    return _texts.text_prompt(request.get("texts") or request.get("inputs") or [])


API = Api(
    name="cohere.embed",
    operation_name="embeddings",
    provider_name="cohere",
    path=r"(?<!/api)/embed",
    looks_like=lambda request, reply: "texts" in request and "embeddings" in reply,
    whole=whole,
    prompt=prompt,
)
