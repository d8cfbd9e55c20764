"""Messages, tools and texts in the shapes that many APIs share, made into the domain's for counting.

Called only when usage is missing, so it may be slow; it must be as tolerant as the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from llmtoken.exchange import Body
from llmtoken.extract._fields import items, mapping, mappings, text
from llmtoken.inference import Completion, Image, Message, Prompt, Tool, ToolCall


def values(body: Body) -> Iterable[Any]:
    """The JSON values of a reply, whether it came whole or as events."""
    return (body.json,) if body.framing == "json" else (event.data for event in body.events)


def said(content: Any) -> str:
    """The text of a message's content: a string, an object with `text`, or an array of either.

    Images, audio and files have no text; tool results inside the content are texts as well.
    """
    if type(content) is str:
        return content
    if type(content) is list:
        return "".join(map(said, content))
    if type(content) is dict:
        return said(content.get("text")) or said(content.get("refusal")) or said(content.get("content"))
    return ""


def thought(content: Any) -> str:
    """The visible reasoning inside a message's content: Mistral's parts of type `thinking`, Databricks' summaries."""
    parts = mappings(content)
    return "".join(said(part.get("thinking") or part.get("summary")) for part in parts) if parts else ""


def arguments(value: Any) -> str:
    """Tool-call arguments as the JSON text they are counted by; objects (Ollama, Anthropic) are written out."""
    if type(value) is str:
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def images(content: Any) -> tuple[Image, ...]:
    """The images in OpenAI's content: `image_url` is an object (chat) or a URL beside its `detail` (responses)."""
    found = []
    for part in mappings(content):
        link = part.get("image_url")
        if link is not None:
            fields = mapping(link) or {"url": link, "detail": part.get("detail")}
            found.append(Image(source=text(fields.get("url")) or "", detail=text(fields.get("detail"))))
    return tuple(found)


def response_schema(wanted: Any) -> Mapping[str, Any] | None:
    """The schema of a wanted format: under `json_schema` in chat, beside `type` elsewhere."""
    form = mapping(wanted)
    return mapping(mapping(form.get("json_schema")).get("schema")) or mapping(form.get("schema")) or None


def tool_calls(value: Any) -> tuple[ToolCall, ...]:
    """`tool_calls` of a message: `[{"function": {"name": …, "arguments": …}}]`."""
    calls = (mapping(call.get("function")) for call in mappings(value))
    return tuple(ToolCall(name=text(c.get("name")) or "", arguments=arguments(c.get("arguments"))) for c in calls)


def message(value: Mapping[str, Any]) -> Message:
    """One message in OpenAI's chat form, which Ollama, Mistral and Cohere share."""
    content = value.get("content")
    calls = tool_calls(value["tool_calls"]) if "tool_calls" in value else ()
    if "function_call" in value and (legacy := mapping(value["function_call"])):
        calls += (ToolCall(name=text(legacy.get("name")) or "", arguments=arguments(legacy.get("arguments"))),)
    return Message(
        role=text(value.get("role")) or "user",
        text=said(content),
        name=text(value.get("name")),
        tool_calls=calls,
        images=images(content) if type(content) is list else (),
    )


def tools(value: Any) -> tuple[Tool, ...]:
    """Offered tools, as `{"function": {…}}` (chat) or flat with `parameters` or `input_schema`."""
    if not value:
        return ()
    return tuple(
        Tool(
            name=text(tool.get("name")) or "",
            description=text(tool.get("description")) or "",
            parameters=mapping(tool.get("parameters")) or mapping(tool.get("input_schema")),
        )
        for tool in ((mapping(item.get("function")) or item) for item in mappings(value))
        if text(tool.get("name"))
    )


def chat_prompt(request: Mapping[str, Any]) -> Prompt:
    """`messages`, `tools` (or the older `functions`) and the wanted format in OpenAI's chat form."""
    return Prompt(
        messages=tuple(map(message, mappings(request.get("messages")))),
        tools=tools(request.get("tools")) + tools(request.get("functions")),
        response_schema=response_schema(request.get("response_format")),
    )


def text_prompt(value: Any) -> Prompt:
    """A prompt that is a text, several texts, ready tokens or several lists of them."""
    entries = [value] if type(value) is not list else value
    if entries and all(type(entry) is int for entry in entries):
        return Prompt(token_count=len(entries))
    return Prompt(
        texts=tuple(said(entry) for entry in entries if type(entry) in (str, dict)),
        token_count=sum(len(items(entry)) for entry in entries),
    )


def text_completion(value: Any) -> Completion:
    """A reply that is one text, or the pieces of it."""
    return Completion(texts=(said(value),))


class Choices:
    """Puts the pieces of streamed choices together: texts, tool calls, reasoning."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._reasoning: list[str] = []
        self._calls: dict[Any, list[str]] = {}

    def add_text(self, choice: int, piece: Any) -> None:
        """Append to the text of one choice; a piece may be anything that `said` understands."""
        self._texts.setdefault(choice, []).append(said(piece))

    def add_reasoning(self, piece: Any) -> None:
        """Append to the visible reasoning."""
        self._reasoning.append(said(piece))

    def add_call(self, key: Any, name: Any, piece: Any) -> None:
        """Append to the arguments of the tool call with this key; the first name counts."""
        call = self._calls.setdefault(key, [""])
        call[0] = call[0] or text(name) or ""
        call.append(arguments(piece))

    def completion(self) -> Completion:
        """A text per choice in the choices' order, all visible reasoning, the calls as they began."""
        return Completion(
            texts=tuple("".join(self._texts[choice]) for choice in sorted(self._texts)),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(ToolCall(name=name, arguments="".join(pieces)) for name, *pieces in self._calls.values()),
        )


def joined(texts: Iterable[str]) -> str:
    """Texts as one, a line each, as templates put system prompts together."""
    return "\n".join(part for part in texts if part)
