"""Images: `POST …/images/generations`, `…/edits` and `…/variations`, whole and streamed; OpenRouter's `…/images`.

GPT image models say their usage; DALL·E and xAI bill by the image and say none.
Source: https://platform.openai.com/docs/api-reference/images and https://openrouter.ai/docs/api/reference
"""

from __future__ import annotations

from llmtoken.exchange import Event
from llmtoken.extract import details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, mappings, text
from llmtoken.extract._usage import openai_usage


def whole(body: Json, reply: Reply) -> None:
    """Read the images' usage."""
    reply.model = text(body.get("model"))
    reply.usage = openai_usage(body.get("usage"))
    if images := mappings(body.get("data")):
        reply.details["output_images"] = len(images)


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold `image_generation.partial_image` … `.completed`, or `image_edit.…`."""
    for event in events:
        data = mapping(event.data)
        kind = text(data.get("type")) or event.name or ""
        if kind.endswith(".partial_image"):
            reply.output_ends.append(event.end)
        elif kind.endswith(".completed"):
            reply.output_ends.append(event.end)
            whole(data, reply)
            reply.details["output_images"] = int(reply.details.get("output_images", 0)) + 1
            details.read(data, reply.details)
            reply.done = reply.usage_is_final = True
        elif kind == "error" or data.get("error"):
            reply.error_type = error_in(data) or "error"


API = Api(
    name="openai.images",
    operation_name="image_generation",
    path=r"/images(?:/(?:generations|edits|variations))?|/image/generate",
    countable=False,
    whole=whole,
    streamed=streamed,
)
