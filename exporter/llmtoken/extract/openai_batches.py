"""OpenAI's batches: `…/v1/batches` and `…/batches/{id}`, polled until they have ended; Mistral's and xAI's too.

A batch adds its answers' usage up itself and is counted by its id, so the usage is taken
only when no more can come. Older batches, Azure's and other servers' say none; then the file of
its answers has them, one a line: `…/files/{id}/content`. A batch names its file, the file not its
batch, so that a batch that says a usage says it for the file too. Mistral's batch jobs may hold
their answers as well. xAI gives them in pages of any size, each known by its own id.
Source: https://platform.openai.com/docs/api-reference/batch/object and …/batch/request-output,
https://docs.mistral.ai/api/endpoint/batch and https://docs.x.ai/docs/guides/batch-api
"""

from __future__ import annotations

import re
from dataclasses import replace

from llmtoken.exchange import Event
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._fields import agreed, mapping, mappings, text
from llmtoken.extract._usage import openai_usage
from llmtoken.inference import Part, Usage, add_up

ENDED = ("completed", "failed", "expired", "cancelled", "success", "timeout_exceeded")
"""OpenAI's words and, in capitals, Mistral's."""

FILE = r"/files/([^/]+)/content"


def whole(body: Json, reply: Reply) -> None:
    """Read a `batch`. Its status stands for the finish reason."""
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))
    status = text(body.get("status"))
    reply.finish_reasons = [status] if status else []
    reply.pending = status is None or status.lower() not in ENDED
    if not reply.pending:
        reply.usage = openai_usage(body.get("usage"))
        if answers := [_answer(line) for line in mappings(body.get("outputs"))]:
            reply.usage = add_up(openai_usage(answer.get("usage"), reply.model) for answer in answers)
        reply.parts = _of_file(text(body.get("output_file_id")) or text(body.get("output_file")), reply.usage)
        reply.details["service_tier"] = "batch"


def results(body: Json, reply: Reply) -> None:
    """Read a page of xAI's results: each answer is wrapped in the name of what was asked for."""
    names, answers = [], []
    for result in mappings(body.get("results")):
        for answer in map(mapping, mapping(mapping(result.get("batch_result")).get("response")).values()):
            names.append(text(answer.get("id")) or f"{reply.path}/{result.get('batch_request_id')}")
            answers.append(answer)
    usages = _read(answers, reply)
    reply.parts = [Part(name, usage) for name, usage in zip(names, usages, strict=True) if usage.known]


def is_result(line: Json) -> bool:
    """Whether it is a line of a batch's output. Its input has custom ids as well, but bodies of its own."""
    return "custom_id" in line and "response" in line and "body" not in line


def output(events: tuple[Event, ...], reply: Reply) -> None:
    """Read a file of answers, one a line; each is whole or not there, and the file has no end marker."""
    reply.finished = True
    reply.error_type = None  # of a line that stands alone, it is what one answer failed with
    if found := re.search(rf"{FILE}/?$", reply.path):
        reply.id = found[1]
        _read([_answer(line) for event in events if is_result(line := mapping(event.data))], reply)
        reply.parts = _of_file(reply.id, reply.usage)


def _of_file(name: str | None, usage: Usage) -> list[Part]:
    """The usage as a batch and its file both tell it. A batch that nobody added up may say 0; its file says more."""
    return [Part(name, usage)] if name and (usage.input_tokens or usage.output_tokens) else []


def _answer(line: Json) -> Json:
    return mapping(mapping(line.get("response")).get("body"))


def _read(answers: list[Json], reply: Reply) -> list[Usage]:
    """Add answers up; gives the usage of each."""
    usages = [openai_usage(answer.get("usage"), text(answer.get("model"))) for answer in answers]
    reply.usage = add_up(usages)
    reply.model = agreed(text(answer.get("model")) for answer in answers)
    reply.details["service_tier"] = "batch"
    return usages


API = Api(
    name="openai.batches",
    operation_name="batch",
    path=r"(?<!/messages)/batch(?:es|/jobs)(?:/[^/]+(?:/cancel)?)?",
    methods=frozenset({"GET", "POST"}),
    fetches=True,
    countable=False,
    looks_like=lambda _request, reply: reply.get("object") == "batch",
    whole=whole,
)
RESULTS = replace(
    API,
    name="x_ai.batches.results",
    provider_name="x_ai",
    path=r"(?<!/messages)/batches/[^/]+/results",
    methods=frozenset({"GET"}),
    looks_like=lambda _request, reply: "batch_result" in next(iter(mappings(reply.get("results"))), {}),
    whole=results,
)
OUTPUT = replace(
    API,
    name="openai.batches.output",
    path=FILE,
    methods=frozenset({"GET"}),
    streams_as=frozenset(),
    looks_like=lambda _request, line: is_result(line),
    whole=lambda body, reply: output((Event(body),), reply),
    streamed=output,
)
