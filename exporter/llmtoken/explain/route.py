"""Which API and whose, whether the reply is whole, and when its pieces came."""

from __future__ import annotations

from collections.abc import Iterator

from llmtoken.exchange import Exchange
from llmtoken.explain.fact import Fact
from llmtoken.extract import PROBLEMS, provider, registry
from llmtoken.extract.registry import Found
from llmtoken.inference import Timing


def facts(exchange: Exchange, found: Found) -> Iterator[Fact]:
    """The API and its reader, the provider, and what the reply says besides usage."""
    api, reply = found.api, found.reply
    yield Fact("API", api.name, found.how)
    if api is registry.UNKNOWN:
        yield Fact(
            "reader", None, f"{registry.__name__} lists the APIs that are read; this one needs a file of its own"
        )
    else:
        yield Fact("reader", api.whole.__module__, "the file to look into")
    yield Fact("operation", reply.operation_name or api.operation_name or None)
    name, evidence = provider.evidence(exchange, found.first, api.provider_name)
    yield Fact("provider", name, evidence)
    fetched = registry.fetches(exchange, api)
    yield Fact("fetched", fetched, "it generates nothing; a reply is counted once, by its id" if fetched else "")
    yield Fact("request model", api.request_model(exchange))
    yield Fact("response model", reply.model)
    yield Fact("response id", reply.id)
    yield Fact("finish reasons", list(reply.finish_reasons))
    yield Fact("error", reply.error_type, f"status {exchange.status}" if reply.error_type else "")
    yield Fact("tool calls", reply.tool_calls)
    if found.problem:
        yield Fact("problem", found.problem, PROBLEMS[found.problem])


def completeness(exchange: Exchange, found: Found) -> Iterator[Fact]:
    """Whether the reply arrived whole, and the signs of it."""
    reply, body = found.reply, exchange.response
    yield Fact("complete", found.complete)
    if body.is_stream:
        yield Fact("end of the stream", reply.done, "its documented last event came" if reply.done else "")
        yield Fact("usage is final", reply.usage_is_final)
        yield Fact("every choice finished", reply.finished)
    yield Fact("pending", reply.pending, "it has to be fetched later" if reply.pending else "")
    yield Fact("cut by", exchange.aborted or None, "" if exchange.aborted is not None else "nobody said")
    yield Fact("captured whole", not body.truncated)


def times(exchange: Exchange, found: Found, timing: Timing) -> Iterator[Fact]:
    """The events that carried output, by where they end on the wire, and the times that gives."""
    ends = found.reply.output_ends
    yield Fact("duration", timing.duration)
    yield Fact("time to first byte", timing.time_to_first_byte)
    if not ends:
        yield Fact("output events", 0, "no event of a stream carried output")
        return
    if ends[0] is None:
        because = "offsets aren't known (the body was compressed), so first and last write stand in"
    elif not exchange.timeline:
        because = "there is no timeline, so the first byte and the end stand in"
    else:
        because = f"the first ends at byte {ends[0]:,}, the last at byte {ends[-1]:,} of the reply"
    yield Fact("output events", len(ends), because)
    yield Fact("time to first chunk", timing.time_to_first_chunk, "when the first of them had left")
    yield Fact("time to first answer chunk", timing.time_to_first_answer_chunk, "the first that isn't reasoning")
    yield Fact("longest stall", timing.longest_stall, "between two of them")
    yield Fact("time per chunk", timing.time_per_output_chunk, f"from first to last, over {len(ends) - 1} gaps")
