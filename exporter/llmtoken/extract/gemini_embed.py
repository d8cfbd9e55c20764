"""Google's embeddings: embedContent and batchEmbedContents on AI Studio, predict on Vertex.

Imagen's pictures are predicted as well; they are billed by the piece.
Source: https://ai.google.dev/api/embeddings and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import integer, mapping, mappings, text, total
from llmtoken.extract._google import answer, model_in_path, usage_metadata
from llmtoken.extract._usage import billable
from llmtoken.inference import Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read embeddings; newer models say `usageMetadata`, older ones nothing."""
    reply.usage = usage_metadata(mapping(answer(body).get("usageMetadata")))


def predicted(body: Json, reply: Reply) -> None:
    """Read predictions: each text embedding says how many tokens its text had; PaLM's say it in their metadata."""
    counted = mapping(mapping(body.get("metadata")).get("tokenMetadata"))
    if counted:
        sides = (integer(mapping(counted.get(f"{side}TokenCount")).get("totalTokens")) for side in ("input", "output"))
        reply.usage = billable(**dict(zip(("input_tokens", "output_tokens"), sides, strict=True)))
        return
    predictions = mappings(body.get("predictions"))
    if images := sum((text(one.get("mimeType")) or "").startswith("image/") for one in predictions):
        reply.operation_name, reply.details["output_images"] = "image_generation", images
    counts = (mapping(mapping(one.get("embeddings")).get("statistics")).get("token_count") for one in predictions)
    reply.usage = billable(input_tokens=total(*map(integer, counts)))


def prompt(request: Json) -> Prompt | None:
    """The contents to embed."""
    contents = [one.get("content") for one in mappings(request.get("requests"))] or [request.get("content")]
    return Prompt(texts=tuple(_texts.said(mapping(content).get("parts")) for content in contents))


def instances(request: Json) -> Prompt | None:
    """The texts to embed. A picture's `prompt` isn't one, nor are other instances."""
    texts = tuple(_texts.said(one["content"]) for one in mappings(request.get("instances")) if "content" in one)
    return Prompt(texts=texts) if texts else None


API = Api(
    name="gemini.embedContent",
    operation_name="embeddings",
    provider_name="gcp.gemini",
    path=r":embedContent",
    request_model=model_in_path,
    whole=whole,
    prompt=prompt,
)
BATCH = replace(API, name="gemini.batchEmbedContents", path=r":batchEmbedContents")
PREDICT = replace(API, name="gemini.predict", path=r":predict", whole=predicted, prompt=instances)
