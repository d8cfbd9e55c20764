"""What Google's generative APIs share: usage metadata, contents, the model in the path.

AI Studio and Vertex differ in where they are mounted, not in their bodies.
Source: https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

import re
from typing import Any

from llmtoken.exchange import Exchange
from llmtoken.extract import _texts
from llmtoken.extract._api import Json, in_path
from llmtoken.extract._fields import first_mapping, integer, mapping, mappings, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Image, Message, Prompt, ToolCall, Usage

_MODEL = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:]+):")


def model_in_path(exchange: Exchange) -> str | None:
    """`…/models/{model}:method`."""
    return in_path(_MODEL, exchange)


def answer(body: Any) -> Json:
    """A reply or a chunk as Google writes it.

    Google's own libraries, and proxies made with them, write the names out with underscores;
    Code Assist wraps every answer (`{"response": …}`).
    """
    found = mapping(body)
    inner = mapping(found.get("response"))
    if "candidates" in inner:
        found = inner
    return {_camel(name): _renamed(value) for name, value in found.items()} if _underscored(found) else found


def _underscored(body: Json) -> bool:
    return "usage_metadata" in body or "model_version" in body or "response_id" in body


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _renamed(value: Any, depth: int = 4) -> Any:
    if type(value) is list:
        return [_renamed(item, depth) for item in value]
    if type(value) is dict and depth:
        return {_camel(name): _renamed(item, depth - 1) for name, item in value.items()}
    return value


def word(value: Any) -> str | None:
    """A name of an enumeration; some proxies pass on its number instead."""
    return str(value) if type(value) is int else text(value)


def usage_metadata(usage: Json) -> Usage:
    """`usageMetadata`: thoughts and tool-use prompts come on top of candidates and prompt, cached content doesn't."""
    tool_use, thoughts = integer(usage.get("toolUsePromptTokenCount")), integer(usage.get("thoughtsTokenCount"))
    return billable(
        input_tokens=total(integer(usage.get("promptTokenCount")), tool_use),
        output_tokens=total(integer(usage.get("candidatesTokenCount")), thoughts),
        total_tokens=integer(usage.get("totalTokenCount")),
        cache_read=integer(usage.get("cachedContentTokenCount")),
        reasoning=thoughts,
        input_audio=_audio(usage.get("promptTokensDetails")),
        output_audio=_audio(usage.get("candidatesTokensDetails")),
    )


_OUTPUT = ("candidatesTokenCount", "thoughtsTokenCount")
PARTS = ("promptTokenCount", "toolUsePromptTokenCount", *_OUTPUT)
"""What a usage's total is the sum of."""


def says_all(usage: Json) -> bool:
    """Whether a usage has an output and makes up its total, so that no part of it is left out."""
    said = integer(usage.get("totalTokenCount"))
    has_output = any(part in usage for part in _OUTPUT)
    return has_output and said is not None and said == total(*(integer(usage.get(part)) for part in PARTS))


def _audio(details: Any) -> int | None:
    return total(*(integer(part.get("tokenCount")) for part in mappings(details) if part.get("modality") == "AUDIO"))


def contents_prompt(request: Json) -> Prompt:
    """System instruction, contents, functions and the wanted schema; REST allows both spellings of every name."""
    system = first_mapping(request, ("systemInstruction", "system_instruction"))
    messages = [Message(role="system", text=_texts.said(system.get("parts")))] if system else []
    asked = request.get("contents")
    # A single content may stand without its array.
    messages.extend(map(_message, [asked] if type(asked) is dict else mappings(asked)))
    tools = [
        tool
        for group in mappings(request.get("tools"))
        for tool in _texts.tools(group.get("functionDeclarations") or group.get("function_declarations"))
    ]
    wanted = first_mapping(request, ("generationConfig", "generation_config"))
    schema = first_mapping(wanted, ("responseSchema", "responseJsonSchema", "response_schema", "response_json_schema"))
    return Prompt(messages=tuple(messages), tools=tuple(tools), response_schema=schema or None)


def _message(content: Json) -> Message:
    parts = mappings(content.get("parts"))
    answers = (first_mapping(part, ("functionResponse", "function_response")).get("response") for part in parts)
    return Message(
        role=text(content.get("role")) or "user",
        text=_texts.said(parts) + "".join(map(_texts.arguments, answers)),
        tool_calls=tuple(
            ToolCall(name=text(call.get("name")) or "", arguments=_texts.arguments(call.get("args")))
            for part in parts
            if (call := function_call(part))
        ),
        images=tuple(Image(source=text(blob.get("data")) or "") for part in parts if (blob := _picture(part))),
    )


def _picture(part: Json) -> Json:
    """An image in a part, inline or as a file that was uploaded before; empty if there is none."""
    blob = first_mapping(part, ("inlineData", "inline_data", "fileData", "file_data"))
    kind = text(blob.get("mimeType")) or text(blob.get("mime_type")) or ""
    return blob if kind.startswith("image/") else {}


def function_call(part: Json) -> Json:
    """The call in a part, empty if there is none.

    With `streamFunctionCallArguments` a call comes in several parts, of which only the first has its name.
    """
    return first_mapping(part, ("functionCall", "function_call"))
