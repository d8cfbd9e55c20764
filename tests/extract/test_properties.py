"""Whatever the wire brings: nothing raises, subsets stay inside their totals, a cut is never taken for an end."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmtoken.exchange import Body, Event, Exchange
from llmtoken.extract import extract
from llmtoken.inference import Completion, Extraction, Prompt, Usage
from support.samples import SAMPLES, Sample

EXCHANGES = [sample.exchange() for sample in SAMPLES]
STREAMS = [s for s in SAMPLES if isinstance(s.reply, list) or s.headers.get("content-type", "").endswith("ndjson")]

WRONG: list[Any] = [None, True, -1, 2**70, 1.5, float("nan"), "", "x", [], ["x"], [{}], {}, {"x": None}]
"""What stands in the place of every part once."""

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["12", "-1", "1e3", "stop", "[DONE]", 2**60, -0.5]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a JSON value: its container and its key."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [(value, key) for key in keys] + [found for key in keys for found in places(value[key])]


def mutated(value: Any, data: st.DataObject) -> Any:
    """The value with some of its parts replaced by junk or taken away."""
    holder = [copy.deepcopy(value)]
    for _ in range(data.draw(st.integers(2, 4))):
        container, key = data.draw(st.sampled_from(places(holder)))
        if isinstance(container, dict) and data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = data.draw(junk)
    return holder[0]


def bodies(exchange: Exchange) -> dict[str, Any]:
    """What can be mutated of an exchange, as one JSON value."""
    events = [{"data": event.data, "name": event.name} for event in exchange.response.events]
    return {"request": exchange.request.json, "json": exchange.response.json, "events": events}


def with_bodies(exchange: Exchange, made: Any) -> Exchange:
    """The exchange with these bodies, as far as a decoder could have made them."""
    made = made if isinstance(made, dict) else {}
    events = made.get("events")
    return replace(
        exchange,
        request=replace(exchange.request, json=made.get("request")),
        response=replace(
            exchange.response,
            json=made.get("json"),
            events=tuple(map(event, events)) if isinstance(events, list) else (),
        ),
    )


def event(made: Any) -> Event:
    fields = made if isinstance(made, dict) else {"data": made}
    name = fields.get("name")
    return Event(fields.get("data"), name if isinstance(name, str) else None)


def check(extraction: Extraction) -> None:
    """What holds for every reading."""
    assert "reader_failed" not in extraction.problems
    usage = extraction.inference.usage
    for part in (usage.cache_read_input_tokens, usage.cache_write_input_tokens, usage.input_audio_tokens):
        assert part is None or usage.input_tokens is None or 0 <= part <= usage.input_tokens
    for part in (usage.reasoning_output_tokens, usage.output_audio_tokens):
        assert part is None or usage.output_tokens is None or 0 <= part <= usage.output_tokens
    assert all(isinstance(reason, str) for reason in extraction.inference.finish_reasons)
    for name in ("error_type", "request_model", "response_model", "response_id", "provider_name", "operation_name"):
        assert isinstance(getattr(extraction.inference, name), str | None)
    assert isinstance(extraction.prompt(), Prompt | None)
    assert isinstance(extraction.completion(), Completion | None)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.api} {sample.path}")
def test_no_part_of_a_body_is_needed_or_trusted(sample: Sample) -> None:
    exchange = sample.exchange()
    for number in range(len(places(bodies(exchange)))):
        for wrong in WRONG:
            made = copy.deepcopy(bodies(exchange))
            container, key = places(made)[number]
            container[key] = wrong
            check(extract(with_bodies(exchange, made)))
        if isinstance(container, dict):
            del container[key]
            check(extract(with_bodies(exchange, made)))


@given(st.sampled_from(EXCHANGES), st.data())
def test_no_mutation_of_the_bodies_raises(exchange: Exchange, data: st.DataObject) -> None:
    check(extract(with_bodies(exchange, mutated(bodies(exchange), data))))


@given(st.sampled_from(EXCHANGES), junk, junk)
def test_no_junk_in_the_place_of_bodies_raises(exchange: Exchange, request: Any, reply: Any) -> None:
    whole = Body(framing="json", json=reply)
    streamed = Body(framing="sse", events=(Event(reply), Event([reply], "error"), Event({"type": reply})))
    for body in (whole, streamed):
        check(extract(replace(exchange, request=Body(framing="json", json=request), response=body)))


@given(junk, st.sampled_from(SAMPLES))
def test_no_junk_in_the_place_of_usage_raises(usage: Any, sample: Sample) -> None:
    exchange = sample.exchange()
    names = (*Usage.__struct_fields__, "prompt_tokens", "completion_tokens", "inputTokens", "tokens")
    counts = dict.fromkeys(names, usage)
    body = Body(framing="json", json={"usage": counts, "usageMetadata": counts, "meta": counts, **counts})
    check(extract(replace(exchange, response=body)))


@pytest.mark.parametrize("sample", STREAMS, ids=lambda sample: f"{sample.api} {sample.path}")
@pytest.mark.parametrize("aborted", ["client", "upstream", None])
def test_a_stream_that_was_cut_anywhere_is_incomplete_or_says_the_same(sample: Sample, aborted: str | None) -> None:
    whole = replace(sample.exchange(), aborted=aborted)
    expected = extract(whole)
    for length in range(len(whole.response.events)):
        body = replace(whole.response, events=whole.response.events[:length], truncated=True)
        extraction = extract(replace(whole, response=body))
        if extraction.complete:
            assert extraction.inference == expected.inference
        elif extraction.inference.usage.source == "reported":
            assert extraction.inference.usage == expected.inference.usage
