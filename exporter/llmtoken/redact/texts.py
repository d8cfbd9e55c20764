"""Every text of a record: as it stands, and put together from pieces.

Owns which fields hold text, and which bodies have more in them than their text shows. Must not know rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from llmtoken.call import Call, Record
from llmtoken.exchange import Body, Exchange
from llmtoken.redact.fragments import slots, slots_of_one

_OURS = frozenset({"aborted", "usage_source", "price_version"})
"""Texts that nobody but us writes."""

NAMES = tuple(name for name, kind in Call.__annotations__.items() if kind.startswith("str") and name not in _OURS)
"""The fields of a call that are texts."""

_texts_of = attrgetter(*NAMES)

_FORM = re.compile(rb"[^\s{\[\"]*\Z")

_HEAD = 1024
"""Characters of a body that tell a form."""

_REACH = 4096
"""Characters within which the parts of a finding stand on both sides of a cut: a key of 4,096 bits has 3,300 as PEM."""


class Texts(NamedTuple):
    """Every text of a record as it stands, and what belongs together in its bodies."""

    said: list[str]
    together: list[str]


def of_call(call: Call) -> list[str]:
    """Every text of a call."""
    said = [text for text in _texts_of(call) if text]
    said += call.finish_reasons
    if call.labels:
        said += call.labels
        said += call.labels.values()
    if call.details:
        said += (value for value in call.details.values() if isinstance(value, str))
    return said


def of_record(record: Record, exchange: Exchange | None) -> Texts | None:
    """`None` where that isn't all there is: base64, the end of what was cut, a form with plus signs for spaces."""
    if exchange is None:
        return None
    said = of_call(record.call)
    together: list[str] = []
    for text, body in ((record.request_body, exchange.request), (record.response_body, exchange.response)):
        if text:
            if body.encoded or body.truncated or (text[0] not in "{[" and is_form(body, as_bytes(text[:_HEAD]))):
                return None
            said.append(text)
            together += joined_pieces(body)
    return Texts(said, together)


def joined_pieces(body: Body) -> list[str]:
    """What belongs together in a body, each as one text."""
    found = slots(event.data for event in body.events) if body.events else slots_of_one(body.json)
    return [_joined(texts) for texts in found]


def _joined(texts: Sequence[str]) -> str:
    """Of long pieces only the ends, as their inside is searched where it stands."""
    if sum(map(len, texts)) > 2 * _REACH:
        texts = [text if len(text) <= 2 * _REACH else f"{text[:_REACH]}\n\n{text[-_REACH:]}" for text in texts]
    return "".join(texts)


def is_form(body: Body, text: bytes) -> bool:
    """Whether this is `a=b&c=d`, which decodes to an object as JSON does."""
    return body.framing == "json" and text[:1] not in (b"{", b"[") and _FORM.match(text) is not None


def as_bytes(text: str) -> bytes:
    """As it is searched; a report made in Python can hold lone surrogates."""
    return text.encode("utf-8", "surrogatepass")
