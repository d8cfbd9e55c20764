"""Baidu's Qianfan before its version 2: `POST …/wenxinworkshop/chat/{model}` and `…/completions/{model}`.

The text is in `result`, piece by piece in a stream, whose events repeat a growing usage and say which is the last
(`is_end`). Newer models are called in OpenAI's words.
Source: https://cloud.baidu.com/doc/qianfan-api/s/3m7of64lb
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply, last_of_path
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, text
from llmtoken.extract._usage import openai_usage
from llmtoken.inference import Completion, Message, Prompt


def whole(body: Json, reply: Reply) -> None:
    """Read a reply, or the last event of one."""
    reply.id = text(body.get("id"))
    reply.usage = openai_usage(body.get("usage"))
    reason = text(body.get("finish_reason"))
    reply.finish_reasons = [reason] if reason else []
    reply.tool_calls = int("name" in mapping(body.get("function_call")))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the pieces; each has what was counted so far."""
    for event in events:
        data = mapping(event.data)
        if data.get("result") or data.get("function_call"):
            reply.output_ends.append(event.end)
        if "usage" in data:
            whole(data, reply)
            details.read(data, reply.details)
        reply.done = reply.done or data.get("is_end") is True
        reply.error_type = error_in(data) or reply.error_type
    reply.usage_is_final = reply.done


def prompt(request: Json) -> Prompt | None:
    """The system prompt and the messages, or the text to go on with."""
    if "messages" not in request:
        return _texts.text_prompt(request.get("prompt") or [])
    asked = _texts.chat_prompt(request)
    system = _texts.said(request.get("system"))
    before = (Message(role="system", text=system),) if system else ()
    return Prompt(messages=before + asked.messages, tools=asked.tools)


def completion(body: Body) -> Completion | None:
    """The text and the call."""
    choices = _texts.Choices()
    for value in map(mapping, _texts.values(body)):
        choices.add_text(0, value.get("result"))
        if call := mapping(value.get("function_call")):
            choices.add_call(0, call.get("name"), call.get("arguments"))
    return choices.completion()


API = Api(
    name="baidu.wenxin",
    operation_name="chat",
    provider_name="baidu_cloud",
    path=r"/wenxinworkshop/(?:chat|completions)/[^/]+",
    request_model=last_of_path,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
