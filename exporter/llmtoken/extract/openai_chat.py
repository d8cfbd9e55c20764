"""OpenAI's chat completions: `POST …/chat/completions`, the form that most other servers speak.

Also read here, since they differ in fields only: Azure, Mistral, Groq, DeepSeek, xAI,
OpenRouter, Together, Perplexity, Databricks, watsonx's chat, Cohere's compatible endpoint,
vLLM, llama.cpp, Ollama's /v1, TGI, Xinference, Writer's `/v1/chat`, MiniMax's `/v1/text/chatcompletion_v2`.
Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts, details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._chunks import THOUGHT, fold, thought_aloud
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, mapping, mappings, text
from llmtoken.extract._usage import openai_usage
from llmtoken.inference import Completion

_WAITING = ("created", "queued", "pending", "processing", "in_progress")
_FAILED = ("fail", "failed")
"""Perplexity's and Zhipu's words, in lower case, for a chat that is answered later."""


def whole(body: Json, reply: Reply) -> None:
    """Read a `chat.completion`."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    reply.usage = openai_usage(body.get("usage"), reply.model)
    choices = mappings(body.get("choices"))
    if not choices:
        _without_choices(body, reply)
    for choice in choices:
        message = mapping(choice.get("message"))
        if reason := text(choice.get("finish_reason")):
            reply.finish_reasons.append(reason)
        # OpenRouter: the provider behind it failed after it had begun.
        reply.error_type = reply.error_type or error_in(choice)
        reply.tool_calls += len(mappings(message.get("tool_calls"))) + _is_call(message.get("function_call"))


def _without_choices(body: Json, reply: Reply) -> None:
    """Read what stands for a chat that is answered later, or MiniMax's own word for an error.

    xAI gives the id to ask with and nothing else, Zhipu and Perplexity a status; when Perplexity's
    is answered, the chat is inside.
    """
    answer = mapping(body.get("response"))
    if mappings(answer.get("choices")):
        identity = reply.id
        details.read(answer, reply.details)
        whole(answer, reply)
        reply.id = identity or reply.id
        return
    status = text(body.get("task_status")) or text(body.get("status")) or ""
    reply.pending = not reply.usage.known and (status.lower() in _WAITING or body.keys() == {"request_id"})
    if status.lower() in _FAILED:
        reply.error_type = reply.error_type or "error"
    if code := integer(mapping(body.get("base_resp")).get("status_code")):
        reply.error_type = str(code)


def _is_call(function: Any) -> bool:
    # Snowflake sends a legacy call with an empty name on every message.
    return text(mapping(function).get("name")) is not None


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold `chat.completion.chunk`s."""
    calls = ToolCallSlots()

    def output(index: int, choice: Json) -> Any:
        delta = choice.get("delta")
        if type(delta) is not dict:
            return None
        said = delta.get("content")
        if "tool_calls" in delta or "function_call" in delta:
            return calls.add(index, delta) or said
        if type(said) is list:
            return said and (THOUGHT if all(map(_is_thought, said)) else said)
        return said or delta.get("refusal") or delta.get("audio") or (THOUGHT if _reasoning(delta) else None)

    fold(events, reply, output)
    reply.tool_calls = calls.count
    reply.reasoned = reply.reasoned or thought_aloud(_contents(events))


def _contents(events: tuple[Event, ...]) -> Iterator[str]:
    """What the first choice says, as it comes."""
    for event in events:
        for choice in mappings(mapping(event.data).get("choices"))[:1]:
            content = mapping(choice.get("delta")).get("content")
            if content and type(content) is str:
                yield content


def _reasoning(delta: Json) -> Any:
    """DeepSeek's, vLLM's and xAI's name; OpenRouter's, Groq's and newer vLLM's."""
    return delta.get("reasoning_content") or delta.get("reasoning")


def _is_thought(part: Any) -> bool:
    """Mistral's and Databricks' parts."""
    return mapping(part).get("type") in ("thinking", "reasoning")


class ToolCallSlots:
    """Tells streamed tool calls apart.

    OpenAI numbers them and sends the id once. Gemini's compatible endpoint and others send
    whole calls that all have index 0 or none, so a name with a new id, or with neither
    id nor index, begins a new call.
    """

    def __init__(self) -> None:
        self.count = 0
        self._latest: dict[tuple[int, Any], tuple[Any, int]] = {}

    def add(self, choice: int, delta: Json) -> list[tuple[int, Json]]:
        """Each piece in this delta with the number of the call that it belongs to."""
        pieces: list[tuple[int, Json]] = []
        for call in mappings(delta.get("tool_calls")):
            function = mapping(call.get("function"))
            pieces.append((self._number(choice, call.get("index"), call.get("id"), function.get("name")), function))
        legacy = mapping(delta.get("function_call"))
        if any(legacy.values()):
            pieces.append((self._number(choice, "function_call", None, None), legacy))
        return pieces

    def _number(self, choice: int, index: Any, identity: Any, name: Any) -> int:
        slot = (choice, index if type(index) in (int, str) else None)
        known = self._latest.get(slot)
        if known is None or (name and (identity != known[0] if identity else index is None)):
            known = self._latest[slot] = (identity, self.count)
            self.count += 1
        return known[1]


def completion(body: Body) -> Completion | None:
    """The texts, reasoning and tool calls of a whole or streamed reply."""
    choices, calls = _texts.Choices(), ToolCallSlots()
    # Perplexity sends both: beside a whole message an empty delta, beside a delta the message so far.
    first, second = ("message", "delta") if body.framing == "json" else ("delta", "message")
    for chunk in _texts.values(body):
        for choice in mappings(mapping(chunk).get("choices")):
            index = choice.get("index")
            number = index if type(index) is int else 0
            delta = mapping(choice.get(first)) or mapping(choice.get(second))
            content = delta.get("content")
            choices.add_text(number, content or delta.get("refusal"))
            if thought := _reasoning(delta) or _texts.thought(content):
                choices.add_reasoning(thought)
            if "tool_calls" in delta or "function_call" in delta:
                for call, function in calls.add(number, delta):
                    choices.add_call(call, function.get("name"), function.get("arguments"))
    return choices.completion()


def looks_like(request: Json, reply: Json) -> bool:
    """Messages in; or choices with a message or delta out."""
    kind = reply.get("object")
    if kind in ("chat.completion", "chat.completion.chunk"):
        return True
    choices = mappings(reply.get("choices"))
    if choices:
        return "message" in choices[0] or "delta" in choices[0]
    return type(request.get("messages")) is list and not reply


API = Api(
    name="openai.chat",
    operation_name="chat",
    path=r"(?<!/wenxinworkshop)/(?:chat|fim|agents)/completions|/v1/chat|/text/chat(?:_stream|completion(?:_v2|_pro))?",
    looks_like=looks_like,
    whole=whole,
    streamed=streamed,
    prompt=_texts.chat_prompt,
    completion=completion,
)
