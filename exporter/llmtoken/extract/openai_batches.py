"""OpenAI's batches: `…/v1/batches` and `…/batches/{id}`, polled until they have ended; Mistral's and xAI's too.

A batch adds its answers' usage up itself and is counted by its id, so the usage is taken
only when no more can come. Older batches, and lists of them, say none. Mistral's batch jobs
may hold their answers instead, and xAI gives them in pages: each answer has a usage of its
own, and a page is counted by its first answer's id.
Source: https://platform.openai.com/docs/api-reference/batch/object,
https://docs.mistral.ai/api/endpoint/batch and https://docs.x.ai/docs/guides/batch-api
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import openai_usage
from llmtoken.extract.anthropic_batches import add_up

ENDED = ("completed", "failed", "expired", "cancelled", "success", "timeout_exceeded")
"""OpenAI's words and, in capitals, Mistral's."""


def whole(body: Json, reply: Reply) -> None:
    """Read a `batch`. Its status stands for the finish reason."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    status = text(body.get("status"))
    reply.finish_reasons = [status] if status else []
    reply.pending = status is None or status.lower() not in ENDED
    if not reply.pending:
        reply.usage = openai_usage(body.get("usage"))
        if answers := [mapping(mapping(one.get("response")).get("body")) for one in mappings(body.get("outputs"))]:
            reply.usage = add_up([openai_usage(answer.get("usage"), reply.model) for answer in answers])
        reply.details["service_tier"] = "batch"


def results(body: Json, reply: Reply) -> None:
    """Read a page of xAI's results: each answer is wrapped in the name of what was asked for."""
    wrapped = (mapping(mapping(one.get("batch_result")).get("response")) for one in mappings(body.get("results")))
    answers = [mapping(answer) for one in wrapped for answer in one.values()]
    models = {text(answer.get("model")) for answer in answers}
    reply.id = next((found for answer in answers if (found := text(answer.get("id")))), None)
    reply.model = models.pop() if len(models) == 1 else None
    reply.usage = add_up([openai_usage(answer.get("usage")) for answer in answers])
    reply.details["service_tier"] = "batch"


API = Api(
    name="openai.batches",
    operation_name="batch",
    path=r"(?<!/messages)/batch(?:es|/jobs)(?:/[^/]+(?:/cancel)?)?",
    methods=frozenset({"GET", "POST"}),
    fetches=True,
    countable=False,
    looks_like=lambda _request, reply: reply.get("object") == "batch",
    whole=whole,
)
RESULTS = replace(
    API,
    name="x_ai.batches.results",
    provider_name="x_ai",
    path=r"(?<!/messages)/batches/[^/]+/results",
    methods=frozenset({"GET"}),
    looks_like=lambda _request, reply: "batch_result" in next(iter(mappings(reply.get("results"))), {}),
    whole=results,
)
