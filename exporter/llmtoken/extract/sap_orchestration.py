"""SAP AI Core's orchestration: `POST …/inference/deployments/{id}/v2/completion`, `…/completion`, `…/v2/embeddings`.

The answer is OpenAI's inside `final_result` (`orchestration_result` before), whatever model made it. Which model
that is to be stands deep in the request's configuration. Other models of SAP's are called in their makers' words.
Source: https://help.sap.com/docs/sap-ai-core/generative-ai/orchestration
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec.structs import replace as changed

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts, details, openai_chat, openai_embeddings
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._chunks import reworded
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import first_mapping, integer, items, mapping, text
from llmtoken.inference import Completion, Prompt

_RESULTS = ("final_result", "orchestration_result")


def _inside(value: Any) -> Any:
    """The chat, or the chunk of one, in a reply; an error stands beside it."""
    body = mapping(value)
    inner = first_mapping(body, _RESULTS)
    return inner if inner and "error" not in body else value


def whole(body: Json, reply: Reply) -> None:
    """Read a reply."""
    inner = mapping(_inside(body))
    details.read(inner, reply.details)
    openai_chat.whole(inner, reply)
    reply.id = reply.id or text(body.get("request_id"))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the chunks. An error that isn't wrapped has a status for a code."""
    openai_chat.streamed(reworded(events, _inside), reply)
    for event in events:
        data = mapping(event.data)
        code = integer(data.get("code"))
        reply.error_type = reply.error_type or error_in(data) or (f"http_{code}" if code else None)


def embedded(body: Json, reply: Reply) -> None:
    """Read embeddings."""
    openai_embeddings.whole(mapping(_inside(body)), reply)
    reply.id = text(body.get("request_id"))


def _prompting(request: Json) -> tuple[Json, Json]:
    """The template and the model's configuration; of several configurations the first is tried first."""
    if now := mapping(_modules(request).get("prompt_templating")):
        return mapping(now.get("prompt")), mapping(now.get("model"))
    before = mapping(mapping(request.get("orchestration_config")).get("module_configurations"))
    return mapping(before.get("templating_module_config")), mapping(before.get("llm_module_config"))


def _modules(request: Json) -> Json:
    modules = mapping(request.get("config")).get("modules")
    return mapping(modules[0] if type(modules) is list and modules else modules)


def _embedding_model(exchange: Exchange) -> str | None:
    module = mapping(_modules(mapping(exchange.request.json)).get("embeddings"))
    return text(mapping(module.get("model")).get("name"))


def _model(exchange: Exchange) -> str | None:
    model = _prompting(mapping(exchange.request.json))[1]
    return text(model.get("name")) or text(model.get("model_name"))


def prompt(request: Json) -> Prompt | None:
    """The template's messages, as they are before their places are filled, behind the history."""
    template = _prompting(request)[0]
    messages = [*items(request.get("messages_history")), *items(template.get("template"))]
    return _texts.chat_prompt({"messages": messages, "tools": template.get("tools")})


def completion(body: Body) -> Completion | None:
    """The texts and the tool calls."""
    return openai_chat.completion(changed(body, json=_inside(body.json), events=reworded(body.events, _inside)))


API = Api(
    name="sap.orchestration",
    operation_name="chat",
    provider_name="sap_ai_core",
    path=r"/inference/deployments/[^/]+(?:/v2)?/completion",
    looks_like=lambda request, reply: "choices" in first_mapping(reply, _RESULTS) or bool(_prompting(request)[1]),
    request_model=_model,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
EMBEDDINGS = replace(
    API,
    name="sap.embeddings",
    operation_name="embeddings",
    path=r"/inference/deployments/[^/]+/v2/embeddings",
    looks_like=lambda _request, reply: "data" in first_mapping(reply, _RESULTS),
    request_model=_embedding_model,
    whole=embedded,
    prompt=lambda request: _texts.text_prompt(mapping(request.get("input")).get("text") or []),
    completion=lambda _body: None,
)
