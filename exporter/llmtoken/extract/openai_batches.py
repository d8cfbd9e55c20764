"""OpenAI's batches: `…/v1/batches` and `…/batches/{id}`, polled until they have ended.

A batch adds its answers' usage up itself and is counted by its id, so the usage is taken
only when no more can come. Older batches, and lists of them, say none.
Source: https://platform.openai.com/docs/api-reference/batch/object
"""

from __future__ import annotations

from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import text
from llmtoken.extract._usage import openai_usage

ENDED = ("completed", "failed", "expired", "cancelled")


def whole(body: Json, reply: Reply) -> None:
    """Read a `batch`. Its status stands for the finish reason."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    status = text(body.get("status"))
    reply.finish_reasons = [status] if status else []
    reply.pending = status not in ENDED
    if not reply.pending:
        reply.usage = openai_usage(body.get("usage"))
        reply.details["service_tier"] = "batch"


API = Api(
    name="openai.batches",
    operation_name="batch",
    path=r"(?<!/messages)/batches(?:/[^/]+(?:/cancel)?)?",
    methods=frozenset({"GET", "POST"}),
    fetches=True,
    countable=False,
    looks_like=lambda _request, reply: reply.get("object") == "batch",
    whole=whole,
)
