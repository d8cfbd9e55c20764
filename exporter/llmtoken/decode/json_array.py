"""A JSON array sent element by element, as Gemini streams without `alt=sse`.

Whole elements of an array that was cut are kept. Must not know what elements mean.
"""

from __future__ import annotations

import re

from llmtoken.decode import values
from llmtoken.decode.frames import MAX_EVENTS, Frames
from llmtoken.exchange import Event

_SPACE = re.compile(r"[ \t\r\n]*")


def read(data: bytes, *, on_wire: bool = True) -> Frames:
    """One event an element; its end is the element's last byte, for the comma comes with the next one."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text, on_wire = data.decode("utf-8", "replace"), False
    # Characters are bytes in ASCII only; elsewhere each stretch is measured.
    wide = on_wire and not text.isascii()
    text = values.replace_lone_surrogates(text)

    events: list[Event] = []
    problems: tuple[str, ...] = ()
    passed = measured = 0
    position = _skip(text, text.find("[") + 1)
    cut = True
    while position < len(text):
        if text[position] == "]":
            cut = False
            break
        if len(events) == MAX_EVENTS:
            problems = ("too_large",)
            break
        try:
            value, end = values.prefix(text, position)
        except ValueError:
            break
        if end == len(text) and not isinstance(value, dict | list | str):
            break
        passed = passed + len(text[measured:end].encode()) if wide else end
        measured = end
        events.append(Event(value, None, passed if on_wire else None))
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] not in ("]", ""):
            problems = ("stream_frame",)
            break
    return Frames(tuple(events), cut, problems)


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
