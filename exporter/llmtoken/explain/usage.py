"""The usage: where the reply says it, and what each normalised number is the sum of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmtoken.exchange import Exchange
from llmtoken.explain.fact import Fact
from llmtoken.explain.numbers import Place, marked, objects_with_counts, terms_of
from llmtoken.extract import registry
from llmtoken.extract.registry import Found
from llmtoken.inference import COUNTS, Usage

_UNREAD = 5
"""Objects with unread counts that are shown, the last ones."""


def facts(exchange: Exchange, found: Found, sourced: Usage) -> Iterator[Fact]:
    """The raw objects, the numbers with their sums, and objects that look like a usage and weren't read.

    `sourced` is the usage that extraction gave, with its source.
    """
    followed = _followed(exchange, found)
    objects = dict(objects_with_counts(exchange))
    terms = [term for name in COUNTS for term in terms_of(getattr(followed, name))]
    places = dict.fromkeys(term.place.parent for term in terms if term.place)
    for place in places:
        if any(_within(place, outer) for outer in places if outer != place):
            continue  # shown with the object that it is in
        yield Fact("said", _at(exchange, place), f"in {place}" if str(place) else "in the reply itself")
    headers = {name: value for name, value in exchange.response_headers.items() if _is_count_header(name, value)}
    if headers:
        yield Fact("said in headers", headers)
    for name in COUNTS:
        value = getattr(sourced, name)
        yield Fact(name, value, _sum(value, getattr(followed, name)))
    yield Fact("source", sourced.source, _why(sourced, found))
    unread = [place for place in objects if not any(_within(used, place) or _within(place, used) for used in places)]
    why = "later counts hold, or no rule takes these" if places else "it looks like counts, but no rule takes them"
    for place in unread[-_UNREAD:]:
        yield Fact("not used", objects[place], f"in {place}: {why}" if str(place) else f"in the reply itself: {why}")


def _is_count_header(name: str, value: str) -> bool:
    """Whether a header may count this call's tokens; those of rate limits count somebody's remaining ones."""
    return "token" in name.lower() and value.isdigit() and "limit" not in name.lower()


def _followed(exchange: Exchange, found: Found) -> Usage:
    """The same usage with numbers that know where they come from; as it was if following them changed it."""
    try:
        usage = registry.find(marked(exchange)).reply.usage
    except Exception:  # noqa: BLE001 - a reader that trips over marked numbers; the plain ones stand
        return found.reply.usage
    return usage if usage == found.reply.usage else found.reply.usage


def _sum(value: int | None, followed: int | None) -> str:
    """The sum that a number came about as."""
    terms = terms_of(followed)
    if value is None:
        return "said, but dropped: there was more to come" if followed is not None else ""
    if not terms:
        return "not a number of the body: from headers, a text, or counted from a list"
    parts = "".join(f" {'-' if term.minus else '+'} {term}" for term in terms)
    total = sum(-term.value if term.minus else term.value for term in terms)
    said = f"= {parts.removeprefix(' + ').strip()}"
    return said if total == value else f"{said}, cut to fit its whole"


def _why(usage: Usage, found: Found) -> str:
    if usage.source == "reported":
        return "the provider said so"
    if usage.source == "partial":
        return "the provider had said so much when the reply was cut"
    if found.reply.usage.known:
        return "the reply says a usage that isn't final"
    return "the reply says no usage" + ("" if found.complete else ", and nothing shows that it was whole")


def _at(exchange: Exchange, place: Place) -> Any:
    """The object at a place."""
    value = exchange.response.json if place.event is None else exchange.response.events[place.event - 1].data
    for step in place.path:
        value = value[int(step[1:-1])] if isinstance(value, list) else value[step]
    return value


def _within(inner: Place, outer: Place) -> bool:
    return inner.event == outer.event and inner.path[: len(outer.path)] == outer.path
