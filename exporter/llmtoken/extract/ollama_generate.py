"""Ollama's own generate: `POST …/api/generate`. The reply is read as a chat's, see `ollama_chat`.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from llmtoken.extract import ollama_chat
from llmtoken.extract._api import Api, Json
from llmtoken.extract._fields import text
from llmtoken.inference import Prompt


def prompt(request: Json) -> Prompt | None:
    """System prompt, prompt and suffix."""
    parts = (text(request.get(name)) for name in ("system", "prompt", "suffix"))
    return Prompt(texts=tuple(part for part in parts if part))


API = Api(
    name="ollama.generate",
    operation_name="text_completion",
    provider_name="ollama",
    path=r"/api/generate",
    looks_like=lambda _request, reply: "done" in reply and "response" in reply,
    whole=ollama_chat.whole,
    streamed=ollama_chat.streamed,
    prompt=prompt,
    completion=ollama_chat.completion,
)
