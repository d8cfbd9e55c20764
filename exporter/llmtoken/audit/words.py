"""The words of a call's bodies: the texts within the JSON, streams put together, without what nobody reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmtoken import decode
from llmtoken.exchange import Body
from llmtoken.report import Report

_MOST = 1_000_000
"""Characters of a call that are indexed."""

_OPAQUE = 256
"""Characters from which on a text without a blank is an image or a key, and no words."""

# Scripts that don't part words by blanks: each character is a word, so any run of them is found.
_UNPARTED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])")

_DEEPEST = 64
"""Objects and lists within each other that are looked into."""

_LIMIT = 64 * 1024 * 1024


def words(request: str | None, reply: str | None) -> str:
    """What was said in a request and its reply, as it is indexed."""
    exchange = decode.decode(
        Report(request_body=request or "", response_body=reply or "", elapsed_time=0.0), max_body_bytes=_LIMIT
    )
    return parted("\n".join([*_texts(exchange.request), *_texts(exchange.response)])[:_MOST])


def parted(text: str) -> str:
    """Text whose words are parted by blanks, in every script."""
    return text if text.isascii() else _UNPARTED.sub(r" \1 ", text)


def _texts(body: Body) -> Iterator[str]:
    texts: list[list[str]] = []
    places: dict[Any, Any] = {}
    for value in _values(body):
        _gather(value, "", places, texts, _DEEPEST)
    for pieces in texts:
        text = "".join(pieces)
        if text and (len(text) < _OPAQUE or not text.isascii() or " " in text):
            yield text


def _values(body: Body) -> Iterator[Any]:
    if body.events:
        yield from (event.data for event in body.events)
    else:
        yield body.text if body.json is None else body.json


def _gather(value: Any, name: str | int, places: dict[Any, Any], texts: list[list[str]], deepest: int) -> None:
    """Take every text within a JSON value to those that stood in the same place of the events before."""
    if isinstance(value, str):
        pieces = places.get((name,))
        if pieces is None:
            pieces = places[(name,)] = []
            texts.append(pieces)
        # What every event repeats (its id, its model) is said once; a piece goes on where the last one ended.
        if not pieces or pieces[-1] != value:
            pieces.append(value)
    elif isinstance(value, (dict, list)) and deepest:
        inner = places.get(name)
        if inner is None:
            inner = places[name] = {}
        for each, within in value.items() if isinstance(value, dict) else enumerate(value):
            if within is not None:
                _gather(within, each, inner, texts, deepest - 1)
