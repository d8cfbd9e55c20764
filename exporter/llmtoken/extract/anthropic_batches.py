"""The results of Anthropic's message batches: `GET …/v1/messages/batches/{id}/results`, JSON lines.

Every line is a message with a usage of its own. They are added up under the batch's id, so
that results which are fetched again are counted once. Making and polling a batch says
nothing about tokens (see `uncounted`).
Source: https://docs.anthropic.com/en/api/retrieving-message-batch-results
"""

from __future__ import annotations

from llmtoken.exchange import Event
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import mapping
from llmtoken.extract.anthropic_messages import whole as read_message
from llmtoken.inference import add_up


def read_results(messages: list[Json], reply: Reply) -> None:
    """Read the messages of a batch into one reply."""
    usages, models = [], set()
    for message in messages:
        one = Reply()
        read_message(message, one)
        usages.append(one.usage)
        models.add(one.model)
        reply.tool_calls += one.tool_calls
    reply.usage = add_up(usages)
    reply.model = models.pop() if len(models) == 1 else None
    reply.details["service_tier"] = "batch"


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Read the lines; each is whole or not there, and the file has no end marker."""
    results = (mapping(mapping(event.data).get("result")) for event in events)
    read_results([mapping(result["message"]) for result in results if "message" in result], reply)
    reply.id = reply.path.rstrip("/").split("/")[-2]
    reply.finished = True


def whole(body: Json, reply: Reply) -> None:
    """Read the results of a batch of one: a line that stands alone."""
    streamed((Event(body),), reply)


API = Api(
    name="anthropic.batches",
    operation_name="chat",
    provider_name="anthropic",
    path=r"/v1/messages/batches/[^/]+/results",
    methods=frozenset({"GET"}),
    fetches=True,
    countable=False,
    streams_as=frozenset(),
    whole=whole,
    streamed=streamed,
)
