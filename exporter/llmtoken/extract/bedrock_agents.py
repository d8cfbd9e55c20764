"""Amazon Bedrock's agents and knowledge bases: `…/agents/{id}/…/text`, inline agents, `/retrieveAndGenerate`.

An agent asks its models many times for one answer. It says what each was asked and how many tokens that took in
traces, if the request wants them (`enableTrace`); they are added up. Nothing is estimated, because what the
models were given stays at Amazon. A knowledge base that writes an answer says no tokens.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html,
…/API_agent-runtime_InvokeInlineAgent.html and …/API_agent-runtime_RetrieveAndGenerate.html
"""

from __future__ import annotations

from collections.abc import Iterator

from llmtoken.exchange import Event, Exchange
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import agreed, mapping, mappings, text
from llmtoken.extract.bedrock_converse import converse_usage
from llmtoken.inference import add_up

_ANSWERS = ("chunk", "output", "returnControl")
"""What an answer comes in: of an agent, of a knowledge base, or calls that the client is to make."""


def _steps(event: Json) -> Iterator[Json]:
    """What a trace says of each step; its kind (`orchestrationTrace`, `preProcessingTrace`, …) doesn't matter."""
    return map(mapping, mapping(event.get("trace")).values())


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Add up what the models used. There is no end mark, and traces may follow the answer."""
    usages, models = [], set()
    for event in events:
        kind, data = event.name or "", mapping(event.data)
        if kind in _ANSWERS:
            reply.output_ends.append(event.end)
            reply.tool_calls += len(mappings(data.get("invocationInputs")))
            reply.finished = True
        elif kind.endswith("Exception"):
            reply.error_type = kind
        for step in _steps(data):
            models.add(text(mapping(step.get("modelInvocationInput")).get("foundationModel")))
            metadata = mapping(mapping(step.get("modelInvocationOutput")).get("metadata"))
            usages.append(converse_usage(mapping(metadata.get("usage"))))
        if "failureTrace" in mapping(data.get("trace")):
            reply.error_type = reply.error_type or "failureTrace"
    reply.model = agreed(models)
    reply.usage = add_up(usages)


def _model_inline(exchange: Exchange) -> str | None:
    """An inline agent's own; other agents have theirs at Amazon."""
    return text(mapping(exchange.request.json).get("foundationModel"))


def _model_of_generation(exchange: Exchange) -> str | None:
    wanted = mapping(mapping(exchange.request.json).get("retrieveAndGenerateConfiguration"))
    return next((found for part in wanted.values() if (found := text(mapping(part).get("modelArn")))), None)


API = Api(
    name="bedrock.agents",
    operation_name="invoke_agent",
    provider_name="aws.bedrock",
    path=r"/agents/[^/]+/agentAliases/[^/]+/sessions/[^/]+/text",
    countable=False,
    looks_like=lambda request, reply: (
        ("foundationModel" in request and "inputText" in request) or ("callerChain" in reply and "trace" in reply)
    ),
    request_model=_model_inline,
    streamed=streamed,
)
GENERATE = Api(
    name="bedrock.retrieveAndGenerate",
    operation_name="chat",
    provider_name="aws.bedrock",
    path=r"/retrieveAndGenerate(?:Stream)?",
    countable=False,
    request_model=_model_of_generation,
    streamed=streamed,
)
RETRIEVE = Api(
    name="bedrock.retrieve",
    operation_name="retrieval",
    provider_name="aws.bedrock",
    path=r"/knowledgebases/[^/]+/retrieve",
    countable=False,
)
