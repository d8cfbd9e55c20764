"""The account of one reading: the steps in the pipeline's order, and the call that came of it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from llmtoken import decode, extract, pricing
from llmtoken.call import Call
from llmtoken.config import Settings
from llmtoken.count import Calibration, Counter, TokenizerFiles
from llmtoken.exchange import Exchange
from llmtoken.explain import bodies, counting, route, usage
from llmtoken.explain.fact import Fact, Step
from llmtoken.extract import registry
from llmtoken.inference import Extraction
from llmtoken.reading import PROBLEMS, read
from llmtoken.report import Report


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps, the call as the pipeline makes it, the problems with their meaning, and what we got wrong."""

    steps: tuple[Step, ...]
    call: Call
    problems: dict[str, str]
    defects: tuple[str, ...] = field(default=())
    """Log lines with their tracebacks, where an error of ours stood in the way."""

    def reasons(self) -> dict[str, str]:
        """Why each number is what it is, by the call's field: the sum that it is, the tokenizer, the prices."""
        facts = [fact for step in self.steps if step.name in ("usage", "counting", "price") for fact in step.facts]
        found: dict[str, str] = {}
        for fact in facts:
            if fact.value is not None and fact.because:
                found.setdefault(fact.name, fact.because)
        return {name: found[name] for name in Call.__struct_fields__ if name in found}


def explain(report: Report, settings: Settings, calibration: Calibration | None = None) -> Explanation:
    """Read a report as the pipeline does, and say how. Raises nothing that is the exchange's fault.

    `calibration` is what other calls have taught about counting, if it is to be heeded.
    """
    received = datetime.now(UTC)
    tokenizers = TokenizerFiles(settings.tokenizers)
    with _logged() as defects:
        reading = read(report, settings, Counter(tokenizers, calibration), received=received)
    call = reading.record.call
    exchange = decode.decode(report, max_body_bytes=settings.max_body_bytes)
    with _logged():  # said already
        extraction = extract.extract(exchange)
        steps = [
            _step("report", _report(report)),
            _step("request", bodies.facts(report, "request", exchange.request, settings.max_body_bytes)),
            _step("reply", bodies.facts(report, "response", exchange.response, settings.max_body_bytes)),
            *_read(exchange, extraction),
            _step("counting", counting.facts(extraction, call, tokenizers)),
            _step("price", _price(call, settings)),
        ]
    problems = {name: PROBLEMS[name] for name in reading.problems}
    return Explanation(tuple(steps), call, problems, tuple(defects))


def _report(report: Report) -> Iterator[Fact]:
    """What the report says besides the bodies; what it leaves out isn't named."""
    yield Fact("version", report.version, "" if report.version else "the seed's: the timestamp is that of the end")
    for name in report.__struct_fields__:
        if name not in ("version", "request_body", "response_body", "timeline", "source"):
            value = getattr(report, name)
            if value not in (None, "", {}, []):
                yield Fact(name, value)
    if report.timeline:
        (first, began), (last, ended) = report.timeline[0], report.timeline[-1]
        yield Fact(
            "timeline",
            f"{len(report.timeline)} writes",
            f"from {first:,} bytes at {began:.3f} s to {last:,} bytes at {ended:.3f} s",
        )


def _read(exchange: Exchange, extraction: Extraction) -> Iterator[Step]:
    try:
        found = registry.find(exchange)
    except Exception as error:  # noqa: BLE001 - told right here, and as a defect with its traceback
        yield Step("API", (_defect(error),))
        return
    yield _step("API", route.facts(exchange, found))
    yield _step("usage", usage.facts(exchange, found, extraction.inference.usage))
    yield _step("completeness", route.completeness(exchange, found))
    yield _step("timing", route.times(exchange, found, extraction.inference.timing))


def _step(name: str, facts: Iterator[Fact]) -> Step:
    """All facts of a step, as far as they are to be had: what can't be read is explained all the same."""
    told: list[Fact] = []
    try:
        told.extend(facts)
    except Exception as error:  # noqa: BLE001 - told right here
        told.append(_defect(error))
    return Step(name, tuple(told))


def _defect(error: Exception) -> Fact:
    return Fact("defect", repr(error), "an error of ours stood in the way; please report it")


def _price(call: Call, settings: Settings) -> Iterator[Fact]:
    """Priced once more by the call's own fields, which are all that a price depends on."""
    found = pricing.reason_of_call(call, settings.prices)
    if isinstance(found, str):
        yield Fact("cost", None, found)
    else:
        yield Fact("cost", f"{found.amount:f} USD", found.version)


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What is logged meanwhile goes into a list and nowhere else."""
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = self.format(record)
            defect = getattr(record, "defect", None)
            told.append("\n".join([text, *traceback.format_exception(defect)]) if defect else text)

    logger, listener = logging.getLogger("llmtoken"), Listener(logging.WARNING)
    propagated = logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield told
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagated
