"""Ollama's own embeddings: `POST …/api/embed` and the older `…/api/embeddings`, which says no counts.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import integer, text
from llmtoken.extract._usage import billable
from llmtoken.inference import Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read the embeddings."""
    reply.model = text(body.get("model"))
    reply.usage = billable(input_tokens=integer(body.get("prompt_eval_count")))


def prompt(request: Json) -> Prompt | None:
    """The texts to embed."""
    return _texts.text_prompt(request.get("input", request.get("prompt", [])))


API = Api(
    name="ollama.embed",
    operation_name="embeddings",
    provider_name="ollama",
    path=r"/api/embed(?:dings)?",
    looks_like=lambda _request, reply: "embedding" in reply or "prompt_eval_count" in reply,
    whole=whole,
    prompt=prompt,
)
