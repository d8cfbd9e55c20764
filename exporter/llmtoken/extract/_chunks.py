"""Folding of OpenAI-style chunks, which chat and completions share: choices, usage, errors, the end.

The hot loop of the collector: long streams have thousands of chunks, so it is one pass
that builds nothing per chunk. Must not know what a choice's output looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from llmtoken.exchange import Event
from llmtoken.extract import details
from llmtoken.extract._api import Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, text
from llmtoken.extract._usage import openai_usage, usage_in_timings

DONE = "[DONE]"
THOUGHT = object()
"""What `output` gives for a piece that is nothing but visible reasoning."""


def fold(events: tuple[Event, ...], reply: Reply, output: Callable[[int, Json], Any]) -> None:  # noqa: C901, PLR0912 - one pass
    """Read a stream into `reply`.

    `output(index, choice)` says whether this piece of a choice is generated output, or `THOUGHT`.

    Usage may sit on the last chunk, on every chunk as it grows, in `x_groq` or `timings`, and be `null`
    in between; the last one that says something holds. It is final when every choice seen
    so far has finished, or on a chunk of its own behind them.
    """
    finish: dict[int, str] = {}
    seen: set[int] = set()
    usage: Any = None
    inside: Any = None
    telling: Json = {}
    named = False
    ends = reply.output_ends
    for event in events:
        chunk = event.data
        if type(chunk) is not dict:
            reply.done = reply.done or chunk == DONE
            if event.name == "error":
                reply.error_type = reply.error_type or "error"
            continue
        choices = chunk.get("choices")
        for choice in choices if type(choices) is list else ():
            if type(choice) is not dict:
                continue
            index = choice.get("index")
            if type(index) is not int:
                index = 0
            seen.add(index)
            if piece := output(index, choice):
                if piece is THOUGHT and reply.reasoned == len(ends):
                    reply.reasoned += 1
                ends.append(event.end)
            reason = choice.get("finish_reason")
            if reason and type(reason) is str:
                finish[index] = reason
                # Moonshot says its usage in the choice that it ends.
                inside = choice.get("usage")
        said = chunk.get("usage") or inside
        if not said and ("timings" in chunk or "x_groq" in chunk):
            said = usage_in_timings(mapping(chunk.get("timings"))) or mapping(chunk.get("x_groq")).get("usage")
        if said and type(said) is dict:
            usage, telling = said, (chunk if said is not inside else {"usage": said})
            reply.usage_is_final = bool(seen) and (not choices or seen <= finish.keys())
        if not named:
            # Azure begins with a chunk whose model and id are empty.
            reply.model = reply.model or text(chunk.get("model"))
            reply.id = reply.id or text(chunk.get("id"))
            named = bool(reply.model and reply.id)
            details.read(chunk, reply.details)
        if "error" in chunk or event.name == "error" or not (choices or said):
            reply.error_type = error_in(chunk) or reply.error_type or ("error" if event.name == "error" else None)
    details.read(telling, reply.details)
    reply.finish_reasons = [finish[index] for index in sorted(finish)]
    reply.finished = bool(finish) and seen <= finish.keys()
    reply.usage = openai_usage(usage, reply.model)


def reworded(events: Iterable[Event], say: Callable[[Any], Any]) -> tuple[Event, ...]:
    """The events with their data as `say` says it, for APIs that are another one in a wrapping or spelling."""
    return tuple(Event(say(event.data), event.name, event.end) for event in events)


_OPEN, _CLOSE = "<think>", "</think>"


def thought_aloud(pieces: Iterable[str]) -> int:
    """How many pieces of a text, from the first on, think between tags; 0 for a text that doesn't begin so.

    Servers that run DeepSeek's or Qwen's models without a reasoning parser send the model's own tags.
    """
    head = tail = ""
    number = 0
    for number, piece in enumerate(pieces, 1):
        if len(head) < len(_OPEN):
            head = (head + piece).lstrip()
            if not head.startswith(_OPEN[: len(head)]):
                return 0
        tail = tail[-len(_CLOSE) :] + piece
        if _CLOSE in tail:
            answers = bool(tail.partition(_CLOSE)[2].strip())
            return number - answers
    return number if head.startswith(_OPEN) else 0
