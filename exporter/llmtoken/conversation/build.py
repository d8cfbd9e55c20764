"""From a report to the conversation in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from llmtoken import decode, extract
from llmtoken.conversation.outline import files, outlined, picture
from llmtoken.conversation.turn import Conversation, Turn
from llmtoken.exchange import Body, Exchange
from llmtoken.inference import Completion, Extraction, Message, Prompt
from llmtoken.reading import PROBLEMS
from llmtoken.report import Report

_CUT = {"client": "The client left before the reply was whole.", "upstream": "The model server broke the reply off."}


def conversation(report: Report, *, max_body_bytes: int) -> Conversation:
    """Read what was said. Raises nothing that is the exchange's fault."""
    exchange = decode.decode(report, max_body_bytes=max_body_bytes)
    extraction = extract.extract(exchange)
    prompt, completion = extraction.prompt(), extraction.completion()
    errors = tuple(dict.fromkeys(_errors(exchange, extraction)))
    asked, answered = tuple(_asked(prompt, exchange.request.json)), tuple(_answered(completion))
    pictures = (image.source for message in prompt.messages for image in message.images) if prompt else ()
    shown = frozenset((*pictures, *(turn.text for turn in (*asked, *answered))))
    return Conversation(
        api=extraction.api,
        tools=prompt.tools if prompt else (),
        asked=asked or _as_it_stands("request", exchange.request),
        answered=answered or (() if errors else _as_it_stands("reply", exchange.response)),
        files=files([*_values(exchange.request), *_values(exchange.response)], shown),
        errors=errors,
        notes=tuple(_notes(report, exchange, extraction)),
    )


def _asked(prompt: Prompt | None, request: Any) -> Iterator[Turn]:
    if prompt is None:
        return
    items = _items(request)
    # Before the items there may be a system prompt.
    ahead = len(prompt.messages) - len(items)
    for number, message in enumerate(prompt.messages):
        turn = _turn(message)
        empty = not (turn.text or turn.tool_calls or turn.images)
        item = items[number - ahead] if 0 <= ahead <= number else None
        yield _item(turn, item) if empty and isinstance(item, dict) else turn
    for text in prompt.texts:
        yield Turn(role="input", text=text)
    if prompt.token_count:
        yield Turn(role="input", text=f"{prompt.token_count:,} tokens, which the client had made itself")


def _items(request: Any) -> list[Any]:
    """What a request's messages are made of, whatever the API calls it."""
    found = (request.get(name) for name in ("messages", "input", "contents")) if isinstance(request, dict) else ()
    return next((items for items in found if isinstance(items, list)), [])


def _item(turn: Turn, item: Any) -> Turn:
    """A message that counting has no words for: a tool's result as an object, or reasoning that is given back."""
    role = next((item[name] for name in ("role", "type") if isinstance(item.get(name), str)), turn.role)
    return replace(turn, role=role, text=outlined(item), is_json=True)


def _turn(message: Message) -> Turn:
    return Turn(
        role=message.role,
        text=message.text,
        name=message.name,
        tool_calls=message.tool_calls,
        images=tuple(picture(image.source) for image in message.images),
    )


def _answered(completion: Completion | None) -> Iterator[Turn]:
    """An answer a choice, the thoughts with the first and the calls with the last: it is only said whose they are."""
    if completion is None:
        return
    texts = [text for text in completion.texts if text]
    if not (texts or completion.reasoning or completion.tool_calls):
        return
    texts = texts or [""]
    for number, text in enumerate(texts):
        yield Turn(
            role="assistant",
            text=text,
            reasoning=completion.reasoning if number == 0 else "",
            tool_calls=completion.tool_calls if number == len(texts) - 1 else (),
        )


def _as_it_stands(role: str, body: Body) -> tuple[Turn, ...]:
    """A body that no reader has words for."""
    if body.framing == "json":
        return (Turn(role=role, text=outlined(body.json), is_json=True),)
    if body.is_stream:
        data = [event.data for event in body.events]
        return (Turn(role=role, text=outlined(data), is_json=True),)
    if body.framing == "binary":
        return (Turn(role=role, text=f"{len(body.text) * 3 // 4:,} bytes that aren't text"),)
    return (Turn(role=role, text=body.text),) if body.text else ()


def _values(body: Body) -> list[Any]:
    return [body.json] if body.framing == "json" else [event.data for event in body.events]


def _errors(exchange: Exchange, extraction: Extraction) -> Iterator[str]:
    """The provider's words for what went wrong, of a reply that failed at the start or on its way."""
    kind = extraction.inference.error_type
    if kind is None:
        return
    for value in _values(exchange.response):
        value = value[0] if isinstance(value, list) and value else value  # noqa: PLW2901 - Google wraps errors
        if said := _message(value):
            yield said
            return
    text = exchange.response.text
    yield kind if exchange.response.framing in ("empty", "binary") or not text else f"{kind}: {text}"


_WORDS = ("error", "response", "detail", "message", "Message", "errors")
"""Fields that hold the words of an error, or hold what holds them; the first that does."""


def _message(value: Any, depth: int = 0) -> str | None:
    """The words of an error in a JSON object. What shapes errors come in: `llmtoken.extract._errors`."""
    if not isinstance(value, dict) or depth == len(_WORDS):
        return None
    for name in _WORDS:
        inner = value.get(name)
        if isinstance(inner, str) and inner and name != "response":
            return inner
        if isinstance(inner, list) and inner:
            return outlined(inner)
        if said := _message(inner, depth + 1):
            return said
    return None


def _notes(report: Report, exchange: Exchange, extraction: Extraction) -> Iterator[str]:
    if report.aborted in _CUT and not extraction.complete:
        yield _CUT[report.aborted]
    if report.request_truncated:
        yield "Only the beginning of the request was captured."
    if report.response_truncated:
        yield "Only the beginning of the reply was captured."
    for problem in dict.fromkeys((*exchange.request.problems, *exchange.response.problems, *extraction.problems)):
        yield f"{problem}: {PROBLEMS[problem]}"
