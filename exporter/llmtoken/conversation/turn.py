"""The shape of a conversation: who said what, in order."""

from __future__ import annotations

from dataclasses import dataclass

from llmtoken.inference import Tool, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message, or one answer. `role` is the API's word, or `request` or `reply` for a body as it stands."""

    role: str
    text: str = ""
    name: str | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    images: tuple[str, ...] = ()
    """Each image by what it is: its kind, pixels and size, or its address."""
    is_json: bool = False
    """Whether the text is JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Everything that was said, as far as it was captured."""

    api: str
    """The wire API that was read; `unknown` when none was recognised."""
    tools: tuple[Tool, ...] = ()
    """What the model was offered to call."""
    asked: tuple[Turn, ...] = ()
    answered: tuple[Turn, ...] = ()
    files: tuple[str, ...] = ()
    """What else was sent or came back that isn't text, by its place: audio, documents, files that were uploaded."""
    errors: tuple[str, ...] = ()
    """What the reply says went wrong, in its own words."""
    notes: tuple[str, ...] = ()
    """What a reader should know: what is missing, what could not be understood."""
