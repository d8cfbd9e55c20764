"""Google's batches: made by `…:batchGenerateContent`, fetched by `GET …/batches/{id}`.

The answers come inside the batch once it is done, each with a usage of its own; they are
added up under the batch's name, so that a batch which is polled is counted once.
Source: https://ai.google.dev/api/batch-api
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._google import model_in_path, usage_metadata
from llmtoken.extract.anthropic_batches import add_up


def whole(body: Json, reply: Reply) -> None:
    """Read a batch: an operation, with the responses inline when it has ended."""
    reply.id = text(body.get("name"))
    reply.pending = body.get("done") is not True
    if reply.pending:
        return
    reply.error_type = error_in(body) or reply.error_type
    answers = mapping(mapping(body.get("response")).get("inlinedResponses"))
    responses = [mapping(one.get("response")) for one in mappings(answers.get("inlinedResponses"))]
    models = {text(one.get("modelVersion")) for one in responses}
    reply.model = models.pop() if len(models) == 1 else None
    reply.details["service_tier"] = "batch"
    reply.usage = add_up([usage_metadata(mapping(one.get("usageMetadata"))) for one in responses])


API = Api(
    name="gemini.batchGenerateContent",
    operation_name="generate_content",
    provider_name="gcp.gemini",
    path=r":(?:batchGenerateContent|asyncBatchEmbedContent)",
    countable=False,
    request_model=model_in_path,
    whole=whole,
)
RETRIEVE = replace(
    API,
    name="gemini.batches.retrieve",
    path=r"/batches/[^/]+",
    methods=frozenset({"GET"}),
    fetches=True,
    looks_like=lambda _request, reply: (text(reply.get("name")) or "").startswith("batches/"),
)
