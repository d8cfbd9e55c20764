"""What a file that describes a wire API declares, and what it fills in while it reads a reply.

Must not know any API, nor how one is chosen (that is the registry's).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from llmtoken.exchange import Body, Event, Exchange, Framing
from llmtoken.extract._fields import mapping, text
from llmtoken.extract.details import Found
from llmtoken.inference import Completion, Part, Prompt, Usage

Json = Mapping[str, Any]


class Reply(msgspec.Struct, kw_only=True):
    """What has been found in a reply so far. A reader sets what the reply says and leaves the rest."""

    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The response's headers, for APIs that report usage there."""
    path: str = ""
    """The request's path, for APIs that name the reply there."""
    operation_name: str | None = None
    """What was done, for the few APIs of which neither method nor path says it."""
    id: str | None = None
    model: str | None = None
    finish_reasons: list[str] = msgspec.field(default_factory=list)
    error_type: str | None = None
    tool_calls: int = 0
    usage: Usage = Usage()
    parts: list[Part] = msgspec.field(default_factory=list)
    """What the usage is made up of, where it may be told elsewhere too, whole or in part; else empty."""
    usage_is_final: bool = False
    """In a stream: the usage was said when, or after, everything had been generated."""
    done: bool = False
    """In a stream: its documented end came, nothing that matters can follow."""
    finished: bool = False
    """In a stream: every choice has said why it stopped, so the text is whole even without an end marker."""
    pending: bool = False
    """The answer isn't made yet (queued, in progress): it has to be fetched later, with its final usage."""
    output_ends: list[int | None] = msgspec.field(default_factory=list)
    """`Event.end` of each event that carried generated output, in order."""
    reasoned: int = 0
    """How many of them, from the first on, carried nothing but visible reasoning."""
    details: Found = msgspec.field(default_factory=dict)
    """What only some providers say, see `details`. The registry reads those of a reply that is one JSON object."""

    def add_output(self, end: int | None, *, reasoning: Any = False) -> None:
        """Take note of an event that carried output; `reasoning` is true when there was nothing else in it."""
        if reasoning and self.reasoned == len(self.output_ends):
            self.reasoned += 1
        self.output_ends.append(end)


_IN_PATH = re.compile(
    r"/(?:deployments(?:/v2/llms)?|serving-endpoints|endpoints(?=/[^/]+/invocations))/([^/]+)/(?!completions)"
)


def model_asked_for(exchange: Exchange) -> str | None:
    """`model` of the request (watsonx: `model_id`); elsewhere the path may name what stands for it.

    So on Azure, Databricks, Predibase and SageMaker.
    """
    request = mapping(exchange.request.json)
    if model := text(request.get("model")) or text(request.get("model_id")):
        return model
    return in_path(_IN_PATH, exchange)


def in_path(pattern: re.Pattern[str], exchange: Exchange) -> str | None:
    """What the pattern's group finds in the path, decoded: mostly the model."""
    found = pattern.search(exchange.path)
    return unquote(found[1]) if found else None


def last_of_path(exchange: Exchange) -> str:
    """The last part of the path, as it is."""
    return exchange.path.rstrip("/").rpartition("/")[2]


def _never(_request: Json, _reply: Json) -> bool:
    return False


def _nothing_whole(_body: Json, _reply: Reply) -> None:
    return None


def _nothing_streamed(_events: tuple[Event, ...], _reply: Reply) -> None:
    return None


def _no_prompt(_request: Json) -> Prompt | None:
    return None


def _no_completion(_body: Body) -> Completion | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One wire API: how it is recognised and how it is read. See `registry` for who calls what."""

    name: str
    """Such as `openai.chat`."""
    operation_name: str
    """By the semantic conventions, such as `chat`; our own word where they have none."""
    provider_name: str | None = None
    """Whose API it is, for when nothing says who served it; `None` where many speak it."""
    path: str
    """A regular expression for the end of the path; whatever is mounted in front of it doesn't matter."""
    methods: frozenset[str] = frozenset({"POST"})
    fetches: bool = False
    """Whether it asks for a reply that an earlier request had made; every `GET` does."""
    countable: bool = True
    """Whether the operation uses tokens that may be counted when usage is missing."""
    streams_as: frozenset[Framing] = frozenset({"sse", "ndjson", "aws_event_stream"})
    """The framings that make a reply a stream; in others a list of values is one reply."""
    says_text: bool = False
    """Whether plain text is a proper reply, as of a transcription."""
    looks_like: Callable[[Json, Json], bool] = _never
    """From the request's and the reply's (or its first event's) fields: whether it is this API."""
    request_model: Callable[[Exchange], str | None] = model_asked_for
    whole: Callable[[Json, Reply], None] = _nothing_whole
    """Reads a reply that is one JSON object."""
    streamed: Callable[[tuple[Event, ...], Reply], None] = _nothing_streamed
    """Reads a reply that came as events."""
    prompt: Callable[[Json], Prompt | None] = _no_prompt
    """What went in, from the request's JSON object, for counting."""
    completion: Callable[[Body], Completion | None] = _no_completion
    """What came out as far as it arrived, for counting."""
