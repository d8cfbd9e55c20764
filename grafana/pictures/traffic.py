"""A fortnight of a made-up company: who calls which model when, how long it takes, and what goes wrong.

Gives reports as the plugin would send them, in the order in which the calls end. The random
numbers always begin alike, so the same time has the same traffic. Must not know who takes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from grafana.pictures.exchanges import Exchange, Tokens, chat, generate, messages, refused

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

_CALLS_A_MINUTE = 4.0
"""At the busiest time of a working day."""

_OVERLOAD = (2.6 * HOUR, 2.2 * HOUR)
"""When the streamed provider was overloaded, before the end."""

_LOST = 3 * HOUR
"""When the plugin had no room for some reports, before the end."""


@dataclass(frozen=True, slots=True)
class Model:
    """How a model is used, and how it behaves: medians of what spreads."""

    name: str
    make: Callable[[str, Tokens, bool], Exchange]
    calls: float
    """Its share of all calls, in any unit."""
    input: int
    output: int
    first_chunk: float
    speed: float
    """Output tokens a second once it writes."""
    streamed: float
    cached: float | None = None
    reasoning: float | None = None
    per_word: float = 1.0


def _openai(name: str, tokens: Tokens, stream: bool) -> Exchange:
    return chat(name, tokens, stream=stream)


def _anthropic(name: str, tokens: Tokens, _: bool) -> Exchange:
    return messages(name, tokens)


def _google(name: str, tokens: Tokens, _: bool) -> Exchange:
    return generate(name, tokens)


def _own(name: str, tokens: Tokens, stream: bool) -> Exchange:
    # Its streams carry no usage, as nobody asked for it.
    return chat(name, tokens, stream=stream, told=not stream, host="vllm.internal")


MODELS = (
    Model("gpt-5.4-mini", _openai, 5, 900, 260, 0.5, 95, 0.7, cached=0.45, reasoning=0.3),
    Model("gpt-5.4", _openai, 1.2, 2600, 700, 1.3, 55, 0.8, cached=0.5, reasoning=0.55),
    Model("claude-sonnet-4-6", _anthropic, 2.2, 3800, 480, 0.9, 62, 1.0, cached=0.7, per_word=1.13),
    Model("gemini-2.5-flash", _google, 1.5, 1400, 380, 0.4, 140, 0.0, cached=0.1, reasoning=0.4, per_word=1.04),
    Model("qwen3-32b", _own, 2.5, 700, 300, 0.25, 38, 0.6, per_word=1.05),
)
CONSUMERS = {"support-bot": 5.0, "team-search": 3.0, "team-analytics": 2.0, "nightly-batch": 0.0, "": 0.7}
"""Who calls, and how much; the empty one didn't say."""


@dataclass
class Traffic:
    """The company's calls up to `end`, in Unix seconds."""

    end: float
    _sequence: int = 0
    _lost: int = 0

    def between(self, start: float, stop: float) -> Iterator[dict[str, Any]]:
        """The reports of the calls that ended within this time. Ask for times in their order."""
        random = Random(round(self.end - start))  # noqa: S311 - for pictures
        busy = _CALLS_A_MINUTE * _bustle(start) * (stop - start) / MINUTE
        for moment in sorted(random.uniform(start, stop) for _ in range(_poisson(random, busy))):
            yield self._call(random, moment)
            if random.random() < 0.004:
                yield self._unreadable(random, moment)
        if start < self.end - _LOST <= stop:
            self._lost += 14

    def _call(self, random: Random, moment: float) -> dict[str, Any]:
        model = random.choices(MODELS, [each.calls for each in MODELS])[0]
        night = _hour(moment) < 4
        weights = {**CONSUMERS, "nightly-batch": 12.0} if night else CONSUMERS
        consumer = random.choices(list(weights), list(weights.values()))[0]
        tokens = _tokens(random, model)
        asked = model.make(model.name, tokens, random.random() < model.streamed)
        overloaded = model.make is _anthropic and -_OVERLOAD[0] < moment - self.end < -_OVERLOAD[1]
        slow = 3.5 if overloaded else 1.0
        if random.random() < (0.4 if overloaded else 0.006):
            status, kind = (529, "overloaded_error") if overloaded else random.choice(_ERRORS)
            return self._report(moment, refused(asked, status, kind), consumer, wait=model.first_chunk * slow)
        wait = _spread(random, model.first_chunk * slow, 0.35)
        writing = tokens.output / _spread(random, model.speed, 0.15)
        aborted = "client" if asked.stream and random.random() < 0.02 else ""
        return self._report(moment, asked, consumer, wait=wait, writing=writing, aborted=aborted)

    def _report(
        self,
        moment: float,
        made: Exchange,
        consumer: str,
        *,
        wait: float,
        writing: float = 0.0,
        aborted: str = "",
    ) -> dict[str, Any]:
        """As the plugin would write it, of a call that ended at this moment."""
        pieces = made.pieces[: len(made.pieces) // 2] if aborted else made.pieces
        wait, took = (wait, wait + writing) if made.stream else (wait + writing, wait + writing + 0.001)
        self._sequence += 1
        written, timeline = 0, []
        for place, piece in enumerate(pieces):
            written += len(piece.encode())
            timeline.append([written, round(wait + (took - wait) * place / max(1, len(pieces) - 1), 4)])
        return {
            "version": 1,
            "request_id": f"made-up-{self._sequence}",
            "method": "POST",
            "path": made.path,
            "host": made.host,
            "status": made.status,
            "request_body": json.dumps(made.request),
            "response_body": "".join(pieces),
            "response_headers": {
                "content-type": made.content_type,
                **{name.lower(): value for name, value in made.headers.items()},
            },
            "timestamp": datetime.fromtimestamp(moment - took, UTC).isoformat(),
            "elapsed_time": round(took, 4),
            "time_to_first_byte": round(wait, 4),
            "timeline": timeline,
            "aborted": aborted,
            "consumer": consumer,
            "capture_bodies": "none",
            "source": {
                "boot": "made-up",
                "sequence": self._sequence + self._lost,
                "dropped": self._lost,
                "dropped_by": {"queue_full": self._lost},
            },
        }

    def _unreadable(self, random: Random, moment: float) -> dict[str, Any]:
        tokens = Tokens(200, 40)
        broken = Exchange("/v1/chat/completions", "vllm.internal", chat("qwen3-32b", tokens).request, ["{not json"])
        return self._report(moment, broken, "team-search", wait=_spread(random, 0.5, 0.3))


_ERRORS = ((429, "rate_limit_exceeded"), (429, "rate_limit_exceeded"), (500, "server_error"), (400, "invalid_request"))


def _tokens(random: Random, model: Model) -> Tokens:
    asked, said = (max(8, round(_spread(random, median, 0.8))) for median in (model.input, model.output))
    cached = None if model.cached is None else round(asked * model.cached * min(1.0, random.uniform(0, 1.9)))
    reasoning = None if model.reasoning is None else round(said * model.reasoning * random.uniform(0.4, 1.4))
    return Tokens(asked, said, cached, reasoning, model.per_word * random.gauss(1, 0.02))


def _bustle(moment: float) -> float:
    """How busy people are, from 0 to 1: most in the afternoon of a working day, and a batch at night."""
    day = datetime.fromtimestamp(moment, UTC)
    work = 0.5 - 0.5 * math.cos((_hour(moment) - 3.5) / 24 * math.tau)
    return (0.08 + 0.92 * work) * (0.3 if day.weekday() > 4 else 1.0) + (0.25 if 1 <= _hour(moment) < 3 else 0)


def _hour(moment: float) -> float:
    return moment % DAY / HOUR


def _spread(random: Random, median: float, sigma: float) -> float:
    return median * math.exp(random.gauss(0, sigma))


def _poisson(random: Random, mean: float) -> int:
    """How many came in a time in which so many come on the average."""
    count, waited = 0, random.expovariate(1.0)
    while waited < mean:
        count, waited = count + 1, waited + random.expovariate(1.0)
    return count
