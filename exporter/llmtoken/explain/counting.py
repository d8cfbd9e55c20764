"""The count: with which tokenizer and family, what each part of prompt and reply comes to, and what was taken of it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from llmtoken.call import Call
from llmtoken.count import TokenizerFiles
from llmtoken.count.counter import Sides
from llmtoken.explain.fact import Fact
from llmtoken.inference import Completion, Extraction, Prompt

_MESSAGES = 30
"""Messages of a conversation that are counted one by one."""


def facts(extraction: Extraction, call: Call, tokenizers: TokenizerFiles) -> Iterator[Fact]:
    """What was counted and taken, or would have been. `call` is what came of it."""
    usage = extraction.inference.usage
    if not extraction.countable:
        yield Fact("counted", None, "the operation uses no tokens, or it failed, or its answer isn't made yet")
        return
    reported = usage.known or usage.total_tokens is not None
    needed = not (reported and extraction.complete)
    yield Fact("needed", needed, _need(reported=reported, complete=extraction.complete))
    sides = Sides(extraction, tokenizers)
    yield Fact("tokenizer", sides.encoding, f"of the model {sides.model}" if sides.model else "no model is named")
    yield Fact("family", sides.family.name, f"its tokens per token of that tokenizer: {sides.ratio}")
    said, answer = sides.prompt(), extraction.completion()
    if said is None:
        yield Fact("prompt", None, "the request has no texts, or they can't be had")
    else:
        yield from _prompt(said, sides)
        yield _taken("input_tokens", usage.input_tokens, call.input_tokens, sides)
    if answer is None:
        yield Fact("answer", None, "the operation has none, or it can't be had")
    else:
        yield from _answer(answer, sides)
        yield _taken("output_tokens", usage.output_tokens, call.output_tokens, sides)
    yield Fact("usage source", call.usage_source)


def _need(*, reported: bool, complete: bool) -> str:
    if reported:
        return "the usage was said; what follows is for comparison" if complete else "the reply was cut"
    return "the reply says no usage"


def _taken(name: str, said: int | None, taken: int | None, sides: Sides) -> Fact:
    if said is not None:
        because = "what the provider said"
    else:
        because = f"counted with {sides.encoding}, corrected by what other calls have taught, if they have"
    return Fact(name, taken, because if taken is not None else "not counted")


def _prompt(said: Prompt, sides: Sides) -> Iterator[Fact]:
    """The prompt's tokens, by differences: what each part adds to a prompt without it."""
    whole = sides.input(said)
    told = 0
    for number, message in enumerate(said.messages[:_MESSAGES], 1):
        tokens = sides.input(Prompt(messages=(message,))) - sides.family.start
        images = f", {len(message.images)} images" if message.images else ""
        calls = f", {len(message.tool_calls)} tool calls" if message.tool_calls else ""
        yield Fact(f"message {number}", tokens, f"{message.role}: {len(message.text):,} characters{calls}{images}")
        told += tokens
    for name, without, because in (
        ("tools", replace(said, tools=()), f"{len(said.tools)} tools as {sides.family.tools_as}"),
        ("response schema", replace(said, response_schema=None), "the schema that the reply must follow"),
        ("texts", replace(said, texts=()), f"{len(said.texts)} texts without roles"),
        ("ready tokens", replace(said, token_count=0), "sent as tokens"),
    ):
        tokens = whole - sides.input(without)
        if tokens:
            yield Fact(name, tokens, because)
            told += tokens
    if whole != told:
        more = f", and {len(said.messages) - _MESSAGES} more messages" if len(said.messages) > _MESSAGES else ""
        yield Fact("frame", whole - told, f"around the conversation{more}, and rounding")
    yield Fact("prompt", whole, "all of these")


def _answer(answer: Completion, sides: Sides) -> Iterator[Fact]:
    reasoning = sides.reasoning(answer)
    texts = sides.answer(replace(answer, tool_calls=()))
    characters = sum(map(len, answer.texts))
    yield Fact("answer's text", texts, f"{characters:,} characters in {len(answer.texts)} texts")
    if answer.tool_calls:
        names = ", ".join(call.name for call in answer.tool_calls)
        yield Fact("answer's tool calls", sides.answer(answer) - texts, names)
    if reasoning is not None:
        yield Fact("answer's reasoning", reasoning, f"{len(answer.reasoning):,} characters were shown")
    yield Fact("answer", sides.answer(answer) + (reasoning or 0), "all of these")
