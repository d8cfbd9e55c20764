"""The domain: one call to a model, as the API's own words tell it.

Field names are the OpenTelemetry GenAI semantic conventions' attribute names with
underscores (`gen_ai.usage.input_tokens` is `input_tokens`). Unknown is `None`, never 0.

This module must not know wire formats, storage or OpenTelemetry.
Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

UsageSource = Literal["reported", "estimated", "partial", "unknown"]
"""Where the token counts come from.

`reported`: the provider said so. `estimated`: we counted, the reply was whole.
`partial`: the reply was cut; what had arrived was counted. `unknown`: neither.
"""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token usage of one call, normalised to billable tokens.

    `input_tokens` includes cached input (read and written) and tool-use prompt tokens;
    `output_tokens` includes reasoning. The subsets below never exceed their totals.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    source: UsageSource = "unknown"

    @property
    def known(self) -> bool:
        """Whether anybody said anything about input or output."""
        return self.input_tokens is not None or self.output_tokens is not None


COUNTS = tuple(name for name in Usage.__struct_fields__ if name != "source")
"""The names of what a usage counts."""


def add_up(usages: Iterable[Usage]) -> Usage:
    """The sum of each count, as far as it was said."""
    told = list(usages)
    counts = {name: [getattr(usage, name) for usage in told] for name in COUNTS}
    known = {name: [count for count in said if count is not None] for name, said in counts.items()}
    return Usage(**{name: sum(said) for name, said in known.items() if said})


class Part(msgspec.Struct, frozen=True):
    """Part of a reply's usage that may be told elsewhere too, and is known there by this id."""

    id: str
    usage: Usage


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When the bytes of the reply left the proxy, in seconds since the request came in."""

    duration: float | None = None
    time_to_first_byte: float | None = None
    time_to_first_chunk: float | None = None
    time_to_first_answer_chunk: float | None = None
    """The first chunk that a reader of the answer sees: text, audio or a tool call, visible reasoning left aside."""
    time_per_output_chunk: float | None = None
    longest_stall: float | None = None
    """The longest time from one chunk of output, reasoning included, to the next."""


Details = Mapping[str, int | float | str]
"""What else was said of a call, by name. What the names mean: `llmtoken.extract.details.MEANINGS`."""


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """What the request asked for and what the reply said, free of any provider's format."""

    operation_name: str | None = None
    provider_name: str | None = None
    server_address: str | None = None
    server_port: int | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    error_type: str | None = None
    stream: bool = False
    fetched: bool = False
    """The call generated nothing: its reply was made for an earlier one, and is polled or given again."""
    tool_calls: int | None = None
    usage: Usage = Usage()
    parts: tuple[Part, ...] = ()
    """What the usage is made up of, where that isn't told here alone; else empty."""
    timing: Timing = Timing()
    details: Details = msgspec.field(default_factory=dict)
    """What was not said is absent, never 0."""


# ── What was said, in the only shape counting needs ────────────────────────────────────


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call made by the model; `arguments` is the JSON text as it was sent."""

    name: str
    arguments: str = ""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool offered to the model; `parameters` is its JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image given to the model."""

    source: str = ""
    """Base64, a `data:` URL or a URL, as it was sent; the size in pixels is read from the first two."""
    detail: str | None = None
    """How closely the model looks: OpenAI's `low`, `high` or `auto`."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation; its text parts are joined."""

    role: str
    text: str = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    images: tuple[Image, ...] = ()


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What went in: a conversation, or plain texts (completions, embeddings), or ready tokens."""

    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    response_schema: Mapping[str, Any] | None = None
    """The JSON schema that the reply must follow, which the model reads too."""
    texts: tuple[str, ...] = ()
    token_count: int = 0
    """Tokens that the client sent ready-made (`prompt: [1, 2, 3]`)."""


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What came out, as far as it arrived: a text per choice, the visible reasoning, tool calls."""

    texts: tuple[str, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


def _nothing() -> None:
    return None


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """The reading of one exchange: the inference, and how to get at the texts if they must be counted.

    `prompt` and `completion` are called only when usage is missing, because building them
    costs more than reading a reported usage. They return `None` where the operation has no
    such side (an embedding has no completion) or the texts are not to be had.
    `problems` names what could not be understood, from a small fixed vocabulary
    (it becomes a metric label): see `llmtoken.decode` and `llmtoken.extract`.
    """

    api: str
    """The wire API that was read, such as `openai.chat`; `unknown` when none was recognised."""
    inference: Inference
    complete: bool = True
    """False when the reply was cut: the client left, the upstream broke, or the capture was truncated."""
    countable: bool = True
    """Whether the operation uses tokens at all: false for lists, errors, count-tokens calls."""
    prompt: Callable[[], Prompt | None] = _nothing
    completion: Callable[[], Completion | None] = _nothing
    problems: tuple[str, ...] = ()
