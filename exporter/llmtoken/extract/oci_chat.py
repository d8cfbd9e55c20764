"""Oracle's OCI Generative AI: `POST …/actions/chat`, `…/generateText`, `…/embedText` and `…/rerankText`.

A reply is OpenAI's chat in other spelling (`finishReason`, `promptTokens`), wrapped in `chatResponse`; Cohere's older
models have their text beside the reason. The events of a stream are bare choices, with the usage behind them; of
Cohere's the one that says the reason repeats the whole text. Texts that are generated without a chat say no usage.
Source: https://docs.oracle.com/en-us/iaas/api/#/en/generative-ai-inference/20231130/ChatResult/Chat
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec.structs import replace as changed

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import _texts, cohere_chat, openai_chat
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._chunks import reworded
from llmtoken.extract._fields import first_mapping, mapping, mappings, text, underscored
from llmtoken.extract._usage import input_alone, openai_usage
from llmtoken.inference import Completion, Prompt


def _wrapped_call(call: Json) -> Json:
    """A tool call in OpenAI's form; here a name and its arguments, or Cohere's parameters, may stand bare."""
    bare = {"name": call.get("name"), "arguments": call.get("arguments", call.get("parameters"))}
    return call if "function" in call else {**call, "function": bare}


def _choice(said: Json, *, streams: bool) -> Json:
    message = mapping(said.get("message")) or {"content": said.get("text"), "tool_calls": said.get("tool_calls")}
    reason = text(said.get("finish_reason"))
    calls = list(map(_wrapped_call, mappings(message.get("tool_calls"))))
    content = None if streams and reason and said.get("api_format") == "COHERE" else message.get("content")
    message = {**message, "content": content, "tool_calls": calls}
    return {**said, "delta" if streams else "message": message, "finish_reason": reason}


def _as_chat(body: Json, *, streams: bool) -> Json:
    """A reply, or an event of one, as OpenAI would say it."""
    said = underscored(mapping(body.get("chatResponse")) or body)
    bare = [said] if said.keys() & {"message", "text", "tool_calls", "finish_reason"} else []
    choices = [_choice(choice, streams=streams) for choice in mappings(said.get("choices")) or bare]
    return {**said, "choices": choices, "model": body.get("modelId")}


def _chunk(value: Any) -> Any:
    return _as_chat(value, streams=True) if type(value) is dict else value


def whole(body: Json, reply: Reply) -> None:
    """Read a chat, or a generated text."""
    openai_chat.whole(_as_chat(body, streams=False), reply)
    generated = mapping(body.get("inferenceResponse"))
    texts = mappings(generated.get("generatedTexts")) or mappings(generated.get("choices"))
    reply.finish_reasons += [found for one in texts if (found := text(one.get("finishReason")))]


def embedded(body: Json, reply: Reply) -> None:
    """Read embeddings or a ranking."""
    reply.id, reply.model = text(body.get("id")), text(body.get("modelId"))
    reply.usage = input_alone(openai_usage(underscored(body.get("usage"))))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the choices."""
    openai_chat.streamed(reworded(events, _chunk), reply)


def _model(exchange: Exchange) -> str | None:
    """The model, or the dedicated endpoint that serves one."""
    mode = mapping(mapping(exchange.request.json).get("servingMode"))
    return text(mode.get("modelId")) or text(mode.get("endpointId"))


def prompt(request: Json) -> Prompt | None:
    """The messages, or Cohere's message with what came before it; or the text to go on with."""
    asked = underscored(first_mapping(request, ("chatRequest", "inferenceRequest")))
    if "prompt" in asked:
        return _texts.text_prompt(asked["prompt"])
    return cohere_chat.prompt({**asked, "preamble": asked.get("preamble_override")})


def completion(body: Body) -> Completion | None:
    """The texts and the tool calls."""
    if body.is_stream:
        return openai_chat.completion(changed(body, events=reworded(body.events, _chunk)))
    reply = mapping(body.json)
    generated = mapping(reply.get("inferenceResponse"))
    if texts := mappings(generated.get("generatedTexts")) or mappings(generated.get("choices")):
        return Completion(texts=tuple(_texts.said(one.get("text")) for one in texts))
    return openai_chat.completion(changed(body, json=_as_chat(reply, streams=False)))


API = Api(
    name="oci.chat",
    operation_name="chat",
    provider_name="oracle_cloud",
    path=r"/\d{8}/actions/chat",
    looks_like=lambda request, reply: (
        "chatResponse" in reply or ("chatRequest" in request and "servingMode" in request)
    ),
    request_model=_model,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
GENERATE = replace(
    API,
    name="oci.generateText",
    operation_name="text_completion",
    path=r"/\d{8}/actions/generateText",
    looks_like=lambda request, _reply: "inferenceRequest" in request and "servingMode" in request,
)
EMBED = replace(
    API,
    name="oci.embedText",
    operation_name="embeddings",
    path=r"/\d{8}/actions/embedText",
    looks_like=lambda *_: False,
    whole=embedded,
    prompt=lambda request: _texts.text_prompt(request.get("inputs") or []),
    completion=lambda _body: None,
)
RERANK = replace(
    EMBED, name="oci.rerankText", operation_name="rerank", path=r"/\d{8}/actions/rerankText", countable=False
)
