"""What a prompt's tokens are made of: texts to count, and the frame that the family puts around them.

Must not know how texts are counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from llmtoken.count import images, typescript
from llmtoken.count.families import Family
from llmtoken.inference import Message, Prompt, ToolCall


class Parts(msgspec.Struct, frozen=True):
    """Texts whose tokens are to be counted, and tokens that are known already."""

    texts: list[str]
    tokens: int


def parts(prompt: Prompt, family: Family, model: str | None) -> Parts:
    """Take a prompt apart. A conversation is framed, plain texts and ready tokens are not."""
    if not prompt.messages:
        return Parts([*prompt.texts, *_tools(prompt, family)], prompt.token_count)
    texts = [*prompt.texts, *_tools(prompt, family), *_schema(prompt, family)]
    tokens = prompt.token_count + family.start
    if prompt.tools:
        tokens += family.tools
        if not any(message.role in ("system", "developer") for message in prompt.messages):
            tokens += family.message
    for message in prompt.messages:
        texts.append(message.text)
        if message.name:
            texts.append(message.name)
        texts.extend(call_texts(message.tool_calls))
        tokens += _frame(message, family)
        for image in message.images:
            tokens += images.tokens(image, family, model)
    return Parts(texts, tokens)


def call_texts(calls: tuple[ToolCall, ...]) -> Iterator[str]:
    """What a tool call says: its name and its arguments."""
    for call in calls:
        yield call.name
        yield call.arguments


def _frame(message: Message, family: Family) -> int:
    """The frame of a message that only calls tools is that of the calls."""
    tokens = len(message.tool_calls) * family.call
    if message.text or not message.tool_calls:
        tokens += family.message
    if message.name:
        tokens += 1
    if message.role == "tool":
        tokens += family.result
    return tokens


def _tools(prompt: Prompt, family: Family) -> Iterator[str]:
    if prompt.tools and family.tools_as == "typescript":
        yield typescript.render(prompt.tools)
        return
    for tool in prompt.tools:
        schema = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        yield json.dumps(schema, ensure_ascii=False, default=dict)


def _schema(prompt: Prompt, family: Family) -> Iterator[str]:
    if family.reads_schema and prompt.response_schema is not None:
        yield json.dumps(prompt.response_schema, ensure_ascii=False, separators=(",", ":"), default=dict)
