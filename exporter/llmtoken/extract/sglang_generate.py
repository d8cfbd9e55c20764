"""SGLang's own generation: `POST …/generate`, whole and streamed.

Each reply has its counts in `meta_info`. A stream repeats the text and the counts so far on every
chunk; several samples (`n`) are a list, or chunks with an index, of the same prompt.
Source: https://docs.sglang.ai/basic_usage/native_api.html
"""

from __future__ import annotations

from llmtoken.exchange import Body, Event
from llmtoken.extract import _texts
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._chunks import DONE
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import integer, mapping, text, total
from llmtoken.extract._usage import billable
from llmtoken.inference import Completion, Prompt


def _read(samples: list[Json], reply: Reply) -> None:
    """Read the last that was said of each sample."""
    told = [mapping(sample.get("meta_info")) for sample in samples]
    reply.id = next((found for one in told if (found := text(one.get("id")))), None)
    reasons = (text(mapping(one.get("finish_reason")).get("type")) for one in told)
    reply.finish_reasons = [reason for reason in reasons if reason]
    first = told[0] if told else {}
    reply.usage = billable(
        input_tokens=integer(first.get("prompt_tokens")),
        output_tokens=total(*(integer(one.get("completion_tokens")) for one in told)),
        cache_read=integer(first.get("cached_tokens")),
    )


def whole(body: Json, reply: Reply) -> None:
    """Read a generation."""
    _read([body], reply)


def _samples(events: tuple[Event, ...]) -> list[Json]:
    """The last event of each sample; those of a list have no index and count each."""
    latest: dict[object, Json] = {}
    for number, event in enumerate(events):
        data = mapping(event.data)
        if "meta_info" in data:
            index = data.get("index", mapping(data["meta_info"]).get("id"))
            latest[index if type(index) in (int, str) else number] = data
    return list(latest.values())


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold the chunks, or the list of samples."""
    samples = _samples(events)
    _read(samples, reply)
    reply.output_ends = [event.end for event in events if mapping(event.data).get("text")]
    reply.done = any(event.data == DONE for event in events)
    reply.usage_is_final = bool(samples) and len(reply.finish_reasons) == len(samples)
    reply.finished = reply.usage_is_final
    reply.error_type = next((found for event in events if (found := error_in(mapping(event.data)))), None)


def prompt(request: Json) -> Prompt | None:
    """The text, several texts, or ready tokens."""
    return _texts.text_prompt(request.get("text") or request.get("input_ids") or [])


def completion(body: Body) -> Completion | None:
    """A text per sample: the last one holds all of it."""
    samples = [mapping(body.json)] if body.framing == "json" else _samples(body.events)
    return Completion(texts=tuple(_texts.said(sample.get("text")) for sample in samples))


API = Api(
    name="sglang.generate",
    operation_name="text_completion",
    provider_name="sglang",
    path=r"(?<!/api)(?<!/v1)(?<!/image)/generate",
    looks_like=lambda _request, reply: "meta_info" in reply,
    whole=whole,
    streamed=streamed,
    prompt=prompt,
    completion=completion,
)
