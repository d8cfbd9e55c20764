"""Unknown APIs whose replies say their usage in words that we know. Marked as such.

A reader for an API of its own is better: this one knows no finish reasons, errors or texts.
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import first_mapping, mapping, text, underscored
from llmtoken.extract._google import usage_metadata
from llmtoken.extract._usage import anthropic_usage, openai_usage
from llmtoken.extract.bedrock_converse import converse_usage
from llmtoken.inference import Usage

_NOTHING = Usage()


def usage_in(body: Json) -> Usage:
    """The usage of a reply, or a chunk of it, in whoever's words and spelling; Dify's is wrapped."""
    inner = first_mapping(body, ("response", "result", "metadata"))
    said = mapping(body.get("usage")) or mapping(inner.get("usage")) or mapping(body.get("metrics")) or _bare(body)
    if "inputTokens" in said:
        return converse_usage(said)
    if "cache_creation_input_tokens" in said and "input_tokens" in said and "total_tokens" not in said:
        return anthropic_usage(said)
    if said:
        usage = openai_usage(said)
        return usage if usage.known else openai_usage(underscored(said))
    return usage_metadata(mapping(body["usageMetadata"])) if "usageMetadata" in body else _NOTHING


def _bare(body: Json) -> Json:
    """The event of a stream that is a usage itself, as Letta's."""
    return body if "prompt_tokens" in body and "completion_tokens" in body else {}


def whole(body: Json, reply: Reply) -> None:
    """Read the id, the model and the usage."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    reply.usage = usage_in(body)


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """The last usage that was said holds; whether more was to come, nobody knows."""
    telling: Json = {}
    for event in events:
        data = mapping(event.data)
        usage = usage_in(data)
        if usage.known:
            reply.usage, telling = usage, data
        reply.id, reply.model = reply.id or text(data.get("id")), reply.model or text(data.get("model"))
        reply.done = reply.done or event.data == "[DONE]"
    details.read(telling, reply.details)
    reply.finished = reply.usage.known


def recognises(body: Body, *, latest: int = 0) -> bool:
    """Whether a reply says a usage; streams say it towards their end. `latest` is how many events to ask, 0 for all."""
    values = (body.json,) if body.framing == "json" else [event.data for event in reversed(body.events[-latest:])]
    return any(usage_in(mapping(value)).known for value in values)


def stand_in(body: Body, reply: Reply) -> None:
    """Read what another reader left in a reply that isn't laid out as its path says."""
    found = Reply()
    if body.framing == "json":
        whole(mapping(body.json), found)
    else:
        streamed(body.events, found)
    reply.usage, reply.details = found.usage, {**found.details, **reply.details}
    reply.id, reply.model = reply.id or found.id, reply.model or found.model
    reply.done, reply.finished = reply.done or found.done, reply.finished or found.finished


API = Api(
    name="generic",
    operation_name="",
    path=r"(?!)",
    countable=False,
    whole=whole,
    streamed=streamed,
)
