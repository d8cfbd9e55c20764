"""Rerank: `POST …/rerank`, of Cohere and of those who speak it (Voyage, Jina, NVIDIA, watsonx, vLLM, Xinference).

Cohere bills searches, not tokens; others say how many tokens they read.
Source: https://docs.cohere.com/reference/rerank and https://docs.voyageai.com/reference/reranker-api
"""

from __future__ import annotations

from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import integer, mapping, text
from llmtoken.extract._usage import billable, input_alone, openai_usage
from llmtoken.extract.cohere_chat import cohere_usage


def whole(body: Json, reply: Reply) -> None:
    """Read the results."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    usage = input_alone(openai_usage(body.get("usage")))
    if not usage.known:
        usage = cohere_usage(mapping(body.get("meta")))
    # watsonx counts beside its results.
    reply.usage = usage if usage.known else billable(input_tokens=integer(body.get("input_token_count")))


API = Api(
    name="cohere.rerank",
    operation_name="rerank",
    path=r"/(?:rerank|ranking|reranking)",
    countable=False,
    looks_like=lambda request, _reply: "query" in request and "documents" in request,
    whole=whole,
)
