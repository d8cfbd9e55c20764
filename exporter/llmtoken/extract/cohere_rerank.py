"""Rerank: `POST …/rerank`, of Cohere and of those who speak it (Voyage, Jina, NVIDIA, watsonx, vLLM, Xinference, TEI).

Cohere bills searches, not tokens; others say how many tokens they read.
Source: https://docs.cohere.com/reference/rerank and https://docs.voyageai.com/reference/reranker-api
"""

from __future__ import annotations

from llmtoken.exchange import Event
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import integer, mapping, text
from llmtoken.extract._usage import billable, computed_usage, input_alone, openai_usage
from llmtoken.extract.cohere_chat import cohere_usage


def whole(body: Json, reply: Reply) -> None:
    """Read the results."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    usage = input_alone(openai_usage(body.get("usage")))
    if not usage.known:
        usage = cohere_usage(mapping(body.get("meta")))
    if not usage.known:
        # watsonx counts beside its results.
        usage = billable(input_tokens=integer(body.get("input_token_count")))
    reply.usage = usage if usage.known else computed_usage(reply.headers)


def listed(_events: tuple[Event, ...], reply: Reply) -> None:
    """Read TEI's reply, to whatever request, which is a list of the results alone."""
    reply.usage = computed_usage(reply.headers)


API = Api(
    name="cohere.rerank",
    operation_name="rerank",
    path=r"/(?:rerank|ranking|reranking)",
    countable=False,
    looks_like=lambda request, _reply: "query" in request and "documents" in request,
    whole=whole,
    streamed=listed,
)
