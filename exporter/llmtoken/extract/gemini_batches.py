"""Google's batches: made by `…:batchGenerateContent`, fetched by `GET …/batches/{id}`.

The answers come inside the batch once it is done, each with a usage of its own; they are
added up under the batch's name, so that a batch which is polled is counted once. A batch that was
asked for in a file is answered in one; its answers are added up under the file's name.
Source: https://ai.google.dev/api/batch-api
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmtoken.exchange import Event
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import agreed, mapping, mappings, text
from llmtoken.extract._google import model_in_path, usage_metadata
from llmtoken.inference import add_up


def whole(body: Json, reply: Reply) -> None:
    """Read a batch: an operation, with the responses inline when it has ended."""
    reply.id = text(body.get("name"))
    reply.pending = body.get("done") is not True
    if reply.pending:
        return
    reply.error_type = error_in(body) or reply.error_type
    answers = mapping(mapping(body.get("response")).get("inlinedResponses"))
    _add_up(mappings(answers.get("inlinedResponses")), reply)


def results(events: tuple[Event, ...], reply: Reply) -> None:
    """Read a file of answers, one a line; each is whole or not there, and the file has no end marker."""
    reply.id = "files/" + reply.path.rstrip("/").rpartition("/")[2].partition(":")[0]
    reply.finished = True
    _add_up([mapping(event.data) for event in events], reply)


def _add_up(answers: list[Any], reply: Reply) -> None:
    responses = [mapping(one.get("response")) for one in answers]
    reply.model = agreed(text(one.get("modelVersion")) for one in responses)
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
RESULTS = replace(
    RETRIEVE,
    name="gemini.batches.results",
    path=r"/files/[^/:]+:download",
    streams_as=frozenset(),
    looks_like=lambda _request, line: "usageMetadata" in mapping(line.get("response")),
    whole=lambda body, reply: results((Event(body),), reply),
    streamed=results,
)
