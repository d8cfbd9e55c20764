"""OpenAI's embeddings: `POST …/embeddings`, spoken by Mistral, Voyage, Azure, OpenRouter, vLLM and others.

Volcengine's and Nomic's differ in their paths, MiniMax's and Nomic's have `texts`.

Source: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import input_alone, openai_usage
from llmtoken.inference import Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read a list of embeddings.

    An embedding makes no tokens, so a total that stands alone is the input: Voyage's only
    number is `total_tokens`, "the total number of tokens used for computing the embeddings"
    (https://docs.voyageai.com/reference/embeddings-api).
    """
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    # MiniMax's total stands beside its vectors.
    reply.usage = input_alone(openai_usage(body.get("usage") or {"total_tokens": body.get("total_tokens")}))


def prompt(request: Json) -> Prompt | None:
    """The texts, or tokens, to embed."""
    return _texts.text_prompt(request.get("input", request.get("texts")))


def looks_like(request: Json, reply: Json) -> bool:
    """Data that are embeddings; or an input and nothing readable out."""
    data = mappings(reply.get("data"))
    if data:
        return "embedding" in data[0]
    return "input" in request and "encoding_format" in request and not mapping(reply)


API = Api(
    name="openai.embeddings",
    operation_name="embeddings",
    path=r"/(?:multimodal|contextualized)?embeddings(?:/multimodal)?|/v1/embedding/(?:text|image)",
    looks_like=looks_like,
    whole=whole,
    prompt=prompt,
)
